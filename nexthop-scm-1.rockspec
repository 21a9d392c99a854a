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
    OPENSSL = { header = "openssl/ssl.h", library = "ssl" },
}

-- The Makefile builds the module, as for `make install`: with its warnings, its hardening and nothing exported.
-- The lists of `lua` and `bin` are written by .ci/rockspec; `make lint` says when it is due.
build = {
    type = "make",
    build_target = "build/rock/nexthop/core.so",
    build_variables = {
        B = "build/rock",
        CC = "$(CC)",
        CFLAGS = "$(CFLAGS)",
        LUA_CFLAGS = "-I$(LUA_INCDIR)",
        -- The headers of libcurl are looked for by pkg-config; without them MTA-STS is left out.
        CPPFLAGS = "-I$(UNBOUND_INCDIR) -I$(UV_INCDIR) -I$(IDN2_INCDIR) -I$(OPENSSL_INCDIR)",
        LDFLAGS = "-L$(UNBOUND_LIBDIR) -L$(UV_LIBDIR) -L$(IDN2_LIBDIR) -L$(OPENSSL_LIBDIR)",
    },
    install_pass = false,
    install = {
        lib = {
            ["nexthop.core"] = "build/rock/nexthop/core.so",
        },
        lua = {
            ["nexthop.client"] = "lua/nexthop/client.lua",
            ["nexthop.config"] = "lua/nexthop/config.lua",
            ["nexthop.config.anchors"] = "lua/nexthop/config/anchors.lua",
            ["nexthop.config.checks"] = "lua/nexthop/config/checks.lua",
            ["nexthop.config.defaults"] = "lua/nexthop/config/defaults.lua",
            ["nexthop.config.servers"] = "lua/nexthop/config/servers.lua",
            ["nexthop.config.settings"] = "lua/nexthop/config/settings.lua",
            ["nexthop.config.tls"] = "lua/nexthop/config/tls.lua",
            ["nexthop.config.unbound_conf"] = "lua/nexthop/config/unbound_conf.lua",
            ["nexthop.doctor.findings"] = "lua/nexthop/doctor/findings.lua",
            ["nexthop.doctor.judge"] = "lua/nexthop/doctor/judge.lua",
            ["nexthop.doctor.keys"] = "lua/nexthop/doctor/keys.lua",
            ["nexthop.doctor.live"] = "lua/nexthop/doctor/live.lua",
            ["nexthop.doctor.mail"] = "lua/nexthop/doctor/mail.lua",
            ["nexthop.doctor.roots"] = "lua/nexthop/doctor/roots.lua",
            ["nexthop.doctor.servers"] = "lua/nexthop/doctor/servers.lua",
            ["nexthop.doctor.signatures"] = "lua/nexthop/doctor/signatures.lua",
            ["nexthop.doctor.tasks"] = "lua/nexthop/doctor/tasks.lua",
            ["nexthop.doctor.zones"] = "lua/nexthop/doctor/zones.lua",
            ["nexthop.errors"] = "lua/nexthop/errors.lua",
            ["nexthop.hex"] = "lua/nexthop/hex.lua",
            nexthop = "lua/nexthop/init.lua",
            ["nexthop.json.encode"] = "lua/nexthop/json/encode.lua",
            ["nexthop.json.utf8"] = "lua/nexthop/json/utf8.lua",
            ["nexthop.luv.connection"] = "lua/nexthop/luv/connection.lua",
            ["nexthop.luv.descriptors"] = "lua/nexthop/luv/descriptors.lua",
            ["nexthop.luv.driver"] = "lua/nexthop/luv/driver.lua",
            ["nexthop.luv.lines"] = "lua/nexthop/luv/lines.lua",
            ["nexthop.luv.reader"] = "lua/nexthop/luv/reader.lua",
            ["nexthop.luv.signals"] = "lua/nexthop/luv/signals.lua",
            ["nexthop.luv.socket"] = "lua/nexthop/luv/socket.lua",
            ["nexthop.luv.supervisor"] = "lua/nexthop/luv/supervisor.lua",
            ["nexthop.luv.writer"] = "lua/nexthop/luv/writer.lua",
            ["nexthop.mail.addresses"] = "lua/nexthop/mail/addresses.lua",
            ["nexthop.mail.exclusions"] = "lua/nexthop/mail/exclusions.lua",
            ["nexthop.mail.findings"] = "lua/nexthop/mail/findings.lua",
            ["nexthop.memo"] = "lua/nexthop/memo.lua",
            ["nexthop.meta"] = "lua/nexthop/meta.lua",
            ["nexthop.meta.client"] = "lua/nexthop/meta/client.lua",
            ["nexthop.meta.nexthop"] = "lua/nexthop/meta/nexthop.lua",
            ["nexthop.meta.opensmtpd"] = "lua/nexthop/meta/opensmtpd.lua",
            ["nexthop.meta.policy"] = "lua/nexthop/meta/policy.lua",
            ["nexthop.meta.server"] = "lua/nexthop/meta/server.lua",
            ["nexthop.meta.verify"] = "lua/nexthop/meta/verify.lua",
            ["nexthop.opensmtpd"] = "lua/nexthop/opensmtpd.lua",
            ["nexthop.opensmtpd.log"] = "lua/nexthop/opensmtpd/log.lua",
            ["nexthop.opensmtpd.protocol"] = "lua/nexthop/opensmtpd/protocol.lua",
            ["nexthop.opensmtpd.request"] = "lua/nexthop/opensmtpd/request.lua",
            ["nexthop.policy"] = "lua/nexthop/policy.lua",
            ["nexthop.programs.filter.lookups"] = "lua/nexthop/programs/filter/lookups.lua",
            ["nexthop.programs.filter.main"] = "lua/nexthop/programs/filter/main.lua",
            ["nexthop.programs.filter.settings"] = "lua/nexthop/programs/filter/settings.lua",
            ["nexthop.programs.nexthop.authoritative"] = "lua/nexthop/programs/nexthop/authoritative.lua",
            ["nexthop.programs.nexthop.check"] = "lua/nexthop/programs/nexthop/check.lua",
            ["nexthop.programs.nexthop.check_options"] = "lua/nexthop/programs/nexthop/check_options.lua",
            ["nexthop.programs.nexthop.diagnose"] = "lua/nexthop/programs/nexthop/diagnose.lua",
            ["nexthop.programs.nexthop.doctor"] = "lua/nexthop/programs/nexthop/doctor.lua",
            ["nexthop.programs.nexthop.explain"] = "lua/nexthop/programs/nexthop/explain.lua",
            ["nexthop.programs.nexthop.json"] = "lua/nexthop/programs/nexthop/json.lua",
            ["nexthop.programs.nexthop.main"] = "lua/nexthop/programs/nexthop/main.lua",
            ["nexthop.programs.nexthop.numbers"] = "lua/nexthop/programs/nexthop/numbers.lua",
            ["nexthop.programs.nexthop.options"] = "lua/nexthop/programs/nexthop/options.lua",
            ["nexthop.programs.nexthop.progress"] = "lua/nexthop/programs/nexthop/progress.lua",
            ["nexthop.programs.nexthop.repairs"] = "lua/nexthop/programs/nexthop/repairs.lua",
            ["nexthop.programs.nexthop.run"] = "lua/nexthop/programs/nexthop/run.lua",
            ["nexthop.programs.nexthop.stream"] = "lua/nexthop/programs/nexthop/stream.lua",
            ["nexthop.programs.nexthop.tally"] = "lua/nexthop/programs/nexthop/tally.lua",
            ["nexthop.programs.nexthop.text"] = "lua/nexthop/programs/nexthop/text.lua",
            ["nexthop.programs.nexthop.verify"] = "lua/nexthop/programs/nexthop/verify.lua",
            ["nexthop.programs.nexthop.verify_options"] = "lua/nexthop/programs/nexthop/verify_options.lua",
            ["nexthop.programs.nexthop.weaknesses"] = "lua/nexthop/programs/nexthop/weaknesses.lua",
            ["nexthop.programs.nexthop.words"] = "lua/nexthop/programs/nexthop/words.lua",
            ["nexthop.programs.options"] = "lua/nexthop/programs/options.lua",
            ["nexthop.programs.program"] = "lua/nexthop/programs/program.lua",
            ["nexthop.programs.server.main"] = "lua/nexthop/programs/server/main.lua",
            ["nexthop.protect"] = "lua/nexthop/protect.lua",
            ["nexthop.report_text"] = "lua/nexthop/report_text.lua",
            ["nexthop.result_text"] = "lua/nexthop/result_text.lua",
            ["nexthop.rspamd"] = "lua/nexthop/rspamd.lua",
            ["nexthop.rspamd.client"] = "lua/nexthop/rspamd/client.lua",
            ["nexthop.rspamd.domains"] = "lua/nexthop/rspamd/domains.lua",
            ["nexthop.rspamd.settings"] = "lua/nexthop/rspamd/settings.lua",
            ["nexthop.rspamd.symbols"] = "lua/nexthop/rspamd/symbols.lua",
            ["nexthop.rspamd.worker"] = "lua/nexthop/rspamd/worker.lua",
            ["nexthop.server"] = "lua/nexthop/server.lua",
            ["nexthop.server.client"] = "lua/nexthop/server/client.lua",
            ["nexthop.server.operations"] = "lua/nexthop/server/operations.lua",
            ["nexthop.server.protocol"] = "lua/nexthop/server/protocol.lua",
            ["nexthop.server.session"] = "lua/nexthop/server/session.lua",
        },
        bin = {
            "bin/filter-nexthop",
            "bin/nexthop",
            "bin/nexthop-server",
        },
    },
}
