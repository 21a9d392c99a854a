rockspec_format = "3.0"
package = "nexthop"
version = "scm-1"

-- `luarocks make` builds the directory it is run in and fetches nothing.
source = {
    url = "file://.",
}

description = {
    summary = "SMTP next-hop discovery with DNSSEC and DANE",
    detailed = [[
A domain in; its mail hosts, their addresses, the DNSSEC status of each step
and the usable TLSA records out. Over libunbound, validated in the process,
blocking or from any event loop. With a filter for OpenSMTPD and a plugin for
rspamd.
]],
    license = "MIT",
    labels = { "smtp", "dns", "dnssec", "dane", "mail" },
}

dependencies = {
    "lua >= 5.1, < 5.6",
}

external_dependencies = {
    UNBOUND = { header = "unbound-event.h", library = "unbound" },
    UV = { header = "uv.h", library = "uv" },
    IDN2 = { header = "idn2.h", library = "idn2" },
    OPENSSL = { header = "openssl/x509.h", library = "crypto" },
}

-- The lists below are written by .ci/rockspec; `make lint` says when it is due.
build = {
    type = "builtin",
    modules = {
        ["nexthop.core"] = {
            sources = {
                "src/answer.c",
                "src/cache.c",
                "src/context.c",
                "src/core.c",
                "src/descriptors.c",
                "src/err.c",
                "src/gather_dest.c",
                "src/gather_ips.c",
                "src/gather_raw.c",
                "src/gather_tlsa.c",
                "src/lookup.c",
                "src/loop.c",
                "src/lua_args.c",
                "src/lua_call.c",
                "src/lua_names.c",
                "src/lua_resolver.c",
                "src/lua_result.c",
                "src/name.c",
                "src/op.c",
                "src/packet.c",
                "src/plan.c",
                "src/pool.c",
                "src/query.c",
                "src/recheck.c",
                "src/resolver.c",
                "src/sigpipe.c",
                "src/tlsa.c",
                "src/walk.c",
            },
            defines = { "_GNU_SOURCE" },
            incdirs = {
                "$(UNBOUND_INCDIR)", "$(UV_INCDIR)", "$(IDN2_INCDIR)", "$(OPENSSL_INCDIR)",
            },
            libdirs = {
                "$(UNBOUND_LIBDIR)", "$(UV_LIBDIR)", "$(IDN2_LIBDIR)", "$(OPENSSL_LIBDIR)",
            },
            libraries = { "unbound", "uv", "idn2", "crypto" },
        },
        ["nexthop.addresses"] = "lua/nexthop/addresses.lua",
        ["nexthop.cli"] = "lua/nexthop/cli.lua",
        ["nexthop.cli.check"] = "lua/nexthop/cli/check.lua",
        ["nexthop.cli.diagnose"] = "lua/nexthop/cli/diagnose.lua",
        ["nexthop.cli.explain"] = "lua/nexthop/cli/explain.lua",
        ["nexthop.cli.json"] = "lua/nexthop/cli/json.lua",
        ["nexthop.cli.options"] = "lua/nexthop/cli/options.lua",
        ["nexthop.cli.progress"] = "lua/nexthop/cli/progress.lua",
        ["nexthop.cli.run"] = "lua/nexthop/cli/run.lua",
        ["nexthop.cli.stream"] = "lua/nexthop/cli/stream.lua",
        ["nexthop.cli.tally"] = "lua/nexthop/cli/tally.lua",
        ["nexthop.cli.text"] = "lua/nexthop/cli/text.lua",
        ["nexthop.cli.words"] = "lua/nexthop/cli/words.lua",
        ["nexthop.client"] = "lua/nexthop/client.lua",
        ["nexthop.config"] = "lua/nexthop/config.lua",
        ["nexthop.config.anchors"] = "lua/nexthop/config/anchors.lua",
        ["nexthop.config.common"] = "lua/nexthop/config/common.lua",
        ["nexthop.config.unbound_conf"] = "lua/nexthop/config/unbound_conf.lua",
        ["nexthop.driver"] = "lua/nexthop/driver.lua",
        ["nexthop.format"] = "lua/nexthop/format.lua",
        ["nexthop.guard"] = "lua/nexthop/guard.lua",
        ["nexthop.hex"] = "lua/nexthop/hex.lua",
        nexthop = "lua/nexthop/init.lua",
        ["nexthop.listener"] = "lua/nexthop/listener.lua",
        ["nexthop.memo"] = "lua/nexthop/memo.lua",
        ["nexthop.meta"] = "lua/nexthop/meta.lua",
        ["nexthop.opensmtpd"] = "lua/nexthop/opensmtpd.lua",
        ["nexthop.opensmtpd.filter"] = "lua/nexthop/opensmtpd/filter.lua",
        ["nexthop.opensmtpd.log"] = "lua/nexthop/opensmtpd/log.lua",
        ["nexthop.opensmtpd.protocol"] = "lua/nexthop/opensmtpd/protocol.lua",
        ["nexthop.opensmtpd.settings"] = "lua/nexthop/opensmtpd/settings.lua",
        ["nexthop.policy"] = "lua/nexthop/policy.lua",
        ["nexthop.program"] = "lua/nexthop/program.lua",
        ["nexthop.protocol"] = "lua/nexthop/protocol.lua",
        ["nexthop.pump"] = "lua/nexthop/pump.lua",
        ["nexthop.rspamd"] = "lua/nexthop/rspamd.lua",
        ["nexthop.rspamd.client"] = "lua/nexthop/rspamd/client.lua",
        ["nexthop.rspamd.domains"] = "lua/nexthop/rspamd/domains.lua",
        ["nexthop.rspamd.options"] = "lua/nexthop/rspamd/options.lua",
        ["nexthop.rspamd.worker"] = "lua/nexthop/rspamd/worker.lua",
        ["nexthop.server"] = "lua/nexthop/server.lua",
        ["nexthop.streams"] = "lua/nexthop/streams.lua",
    },
    install = {
        bin = {
            "bin/filter-nexthop",
            "bin/nexthop",
            "bin/nexthop-server",
        },
    },
}
