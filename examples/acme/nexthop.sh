#!/usr/bin/env sh
# For acme.sh: put this into ~/.acme.sh/deploy/, and run "acme.sh --deploy -d DOMAIN --deploy-hook nexthop".

# nexthop_deploy DOMAIN KEY CERT CA FULLCHAIN
nexthop_deploy() {
    "${DEPLOY:-/usr/local/sbin/deploy-when-safe}" "$5" "$2"
}
