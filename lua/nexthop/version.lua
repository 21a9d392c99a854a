--- The version of nexthop. It stands nowhere else: `make dist` and the Debian packages take it from here.
return "1.0.0"
