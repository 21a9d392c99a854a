--- The public name of the client of a lookup server.
return require "nexthop.server.client"
