--- The public name of the annotations.
return require "nexthop.meta.nexthop"
