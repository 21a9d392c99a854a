--- The version of nexthop. It stands nowhere else: `make dist`, the packages and the rockspec take it from here.
return "1.0.0"
