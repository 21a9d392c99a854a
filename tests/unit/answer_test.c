/*
 * answer_test.c - packets, good and bad.
 * Linked with --wrap=malloc, to see how much is allocated and what happens when it fails.
 */
#include "answer.h"

#include "packet.h"
#include "tap.h"

#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10
#define L63 X60 "xxx"

#define CNAME NH_TYPE_CNAME
#define DNAME 39
#define MX NH_TYPE_MX
#define A NH_TYPE_A
#define AAAA NH_TYPE_AAAA
#define TLSA NH_TYPE_TLSA

static struct packet packet;
static struct nh_answer answer;

static bool malloc_fails;
static size_t malloc_size;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    malloc_size = size;
    return malloc_fails ? NULL : __real_malloc(size);
}

/* Parses the first len bytes of the packet; ASan watches over the end of them, and that the answer
 * does without them afterwards. */
static enum nh_code parse_len(size_t len, const char *qname, uint16_t qtype)
{
    uint8_t *copy = __real_malloc(len + 1);
    enum nh_code code;

    nh_answer_free(&answer);
    memcpy(copy + 1, packet.data, len);
    code = nh_answer_parse(&answer, copy + 1, len, qname, qtype);
    memset(copy, 0xff, len + 1);
    free(copy);
    return code;
}

static enum nh_code parse(const char *qname, uint16_t qtype)
{
    return parse_len(packet.len, qname, qtype);
}

/* Keeps the packet as a seed: type, length of the name, name, packet (tests/fuzz/answer_fuzz.c). */
static void keep(const char *name, const char *qname, uint16_t qtype)
{
    static uint8_t data[sizeof(packet.data) + 300];
    size_t len = strlen(qname);

    data[0] = (uint8_t)qtype;
    data[1] = (uint8_t)len;
    memcpy(data + 2, qname, len);
    memcpy(data + 2 + len, packet.data, packet.len);
    seed(name, data, 2 + len + packet.len);
}

/* Are there no results at all, as after an error? */
static bool is_zeroed(void)
{
    struct nh_answer zero;

    memset(&zero, 0, sizeof(zero));
    return memcmp(&zero, &answer, sizeof(zero)) == 0;
}

/* Are these bytes, if any, of the answer's own block? */
static bool in_memory(const uint8_t *data, size_t len)
{
    const uint8_t *memory = answer.memory;

    return !data || (data > memory && len <= (size_t)(memory + answer.size - data));
}

/* Does the packet not parse, and leave nothing? */
static bool refused(const char *qname, uint16_t qtype)
{
    return parse(qname, qtype) == NH_SERVFAIL && is_zeroed();
}

static const uint8_t ip1[4] = {192, 0, 2, 1}, ip2[4] = {192, 0, 2, 2},
                     ip6[16] = {0x20, 1, 0xd, 0xb8};

static void test_addresses(void)
{
    begin(&packet, FLAGS, "host.example", A);
    rr(&packet, "@12", A, 300, ip2, 4);
    rr(&packet, "@12", A, 200, ip1, 4);
    rr(&packet, "HOST.Example", A, 250, ip2, 4);
    rr(&packet, "@12", NH_TYPE_RRSIG, 10, "\0\1xxxxxxxxxxxxxxxxxxxx", 22);
    keep("a", "host.example", A);
    ok(parse("host.example", A) == NH_OK, "an answer with addresses");
    ok(answer.n_records == 2 && answer.n_links == 0 && !answer.loop && answer.rcode == 0,
       "a repeated one counts once");
    ok(memcmp(answer.records[0].data, ip2, 4) == 0 && memcmp(answer.records[1].data, ip1, 4) == 0,
       "they stay in order");
    ok(answer.records[0].len == 4 && answer.records[0].name == NULL, "and have no name");
    ok(answer.ttl == 200, "the smallest TTL counts, the RRSIG's does not");
    is_text(answer.chain[0], "host.example", "the chain is the question");
    ok(parse("HOST.example.", A) == NH_OK && answer.n_records == 2, "any case, a final dot");
    is_text(answer.chain[0], "host.example", "and its canonical name");
    ok(parse("other.example", A) == NH_OK && answer.n_records == 0, "another owner's do not count");
    ok(parse("", A) == NH_SERVFAIL, "an empty name");
    malloc_fails = true;
    ok(parse("host.example", A) == NH_NO_MEMORY && is_zeroed(), "no memory");
    malloc_fails = false;

    begin(&packet, FLAGS, "host.example", A);
    rr(&packet, "@12", A, 300, ip6, 5);
    rr(&packet, "@12", A, 100, ip1, 3);
    rr(&packet, "@12", A, 200, ip1, 0);
    rr(&packet, "@12", A, 400, ip1, 4);
    rr(&packet, "@12", AAAA, 400, ip6, 4);
    rr(&packet, "@12", AAAA, 400, ip6, 16);
    rr(&packet, "@12", AAAA, 400, ip6, 15);
    keep("lengths", "host.example", AAAA);
    ok(parse("host.example", A) == NH_OK && answer.n_records == 1 && answer.ttl == 400,
       "an A of another length is dropped");
    ok(parse("host.example", AAAA) == NH_OK && answer.n_records == 1, "and so an AAAA");

    begin(&packet, FLAGS, "host.example", A);
    rr(&packet, "@12", A, 300, ip1, 4);
    packet.data[packet.len - 11] = 3;
    ok(parse("host.example", A) == NH_OK && answer.n_records == 0, "class CH is not IN");

    begin(&packet, FLAGS, ".", A);
    rr(&packet, ".", A, 0x80000000u, ip1, 4);
    ok(parse(".", A) == NH_OK && answer.n_records == 1, "the root has a name");
    is_text(answer.chain[0], ".", "which is a dot");
    ok(answer.ttl == 0, "a TTL with the top bit set is zero");
    packet.data[packet.len - 10] = 0x7f;
    ok(parse(".", A) == NH_OK && answer.ttl == 0x7f000000, "the largest there is otherwise");
}

static void test_mx(void)
{
    begin(&packet, FLAGS, "example.org", MX);
    rr_mx(&packet, "@12", 300, 20, "mx2.@12");
    rr_mx(&packet, "@12", 300, 10, "MX1.example.org");
    rr_mx(&packet, "@12", 300, 20, "mx2.EXAMPLE.org");
    rr_mx(&packet, "@12", 300, 30, "mx2.example.org");
    rr_mx(&packet, "@12", 300, 0, ".");
    keep("mx", "example.org", MX);
    ok(parse("example.org", MX) == NH_OK && answer.n_records == 4, "MX records");
    is_text(answer.records[0].name, "mx2.example.org", "a compressed target");
    ok(answer.records[0].pref == 20 && answer.records[1].pref == 10, "preferences, in order");
    is_text(answer.records[1].name, "mx1.example.org", "in lower case");
    ok(answer.records[2].pref == 30, "the same host at another preference is another record");
    is_text(answer.records[3].name, ".", "a null MX");

    for (unsigned cut = 1; cut < 20; cut++) {
        char what[60];

        begin(&packet, FLAGS, "example.org", MX);
        rr_mx(&packet, "@12", 300, 10, "mx1.example.org");
        packet.len -= cut;
        set16(&packet, packet.len - (19 - cut) - 2, 19 - cut);
        (void)snprintf(what, sizeof(what), "an MX record of %u bytes", 19 - cut);
        ok(refused("example.org", MX), "%s", what);
    }
    begin(&packet, FLAGS, "example.org", MX);
    rr_mx(&packet, "@12", 300, 10, "mx1.example.org");
    put8(&packet, 0);
    set16(&packet, packet.len - 22, 20);
    ok(refused("example.org", MX), "an MX record with a byte too many");
}

static void test_tlsa(void)
{
    static uint8_t data[70];
    const char *name = "_25._tcp.mx.example";

    begin(&packet, FLAGS, name, TLSA);
    rr(&packet, "@12", TLSA, 300, data, 35);
    rr(&packet, "@12", TLSA, 300, data, 0);
    rr(&packet, "@12", TLSA, 300, data, 67);
    rr(&packet, "@12", TLSA, 300, data, 35);
    rr(&packet, "@12", TLSA, 300, data, 0);
    keep("tlsa", name, TLSA);
    ok(parse(name, TLSA) == NH_OK && answer.n_records == 3, "TLSA records of any length");
    ok(answer.records[0].len == 35 && answer.records[1].len == 0 && answer.records[2].len == 67,
       "have their length");
}

static void test_chain(void)
{
    static const char *const names[] = {"a.example", "b.example", "c.example", "d.example"};

    for (int order = 0; order < 6; order++) {
        static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

        begin(&packet, FLAGS, "a.example", A);
        rr(&packet, "d.EXAMPLE", A, 100, ip1, 4);
        for (int i = 0; i < 3; i++) {
            int link = orders[order][i];

            rr_name(&packet, names[link], CNAME, 100 + (unsigned)link * 10, names[link + 1]);
        }
        rr_name(&packet, "elsewhere.example", CNAME, 1, "a.example");
        rr(&packet, "D.example", A, 105, ip2, 4);
        ok(parse("A.example", A) == NH_OK && answer.n_links == 3 && answer.n_records == 2,
           "a chain in order %d", order);
        ok(strcmp(answer.chain[1], "b.example") == 0 && strcmp(answer.chain[3], "d.example") == 0 &&
               answer.ttl == 100 && !answer.loop,
           "leads from name to name");
    }
    keep("chain", "a.example", A);
    ok(parse("c.example", A) == NH_OK && answer.n_links == 1 && answer.ttl == 100,
       "it begins at the question");
    ok(parse("a.example", AAAA) == NH_OK && answer.n_links == 3 && answer.n_records == 0 &&
           answer.ttl == 0,
       "without records and SOA the TTL is 0");

    ok(parse("b.example", CNAME) == NH_OK && answer.n_links == 1 && answer.n_records == 1 &&
           answer.ttl == 110,
       "a CNAME question has one link");
    is_text(answer.chain[0], "b.example", "from the question");
    is_text(answer.chain[1], "c.example", "to the target");
    is_text(answer.records[0].name, "c.example", "which is the record's name");
    ok(parse("d.example", CNAME) == NH_OK && answer.n_links == 0 && answer.n_records == 0,
       "no CNAME, no link");
    is_text(answer.chain[0], "d.example", "and the question alone");

    begin(&packet, FLAGS, "a.example", A);
    rr_name(&packet, "@12", CNAME, 100, "b.example");
    put8(&packet, 0);
    set16(&packet, packet.len - 14, 12);
    ok(refused("a.example", A), "a CNAME with a byte too many");
    ok(parse("c.example", A) == NH_OK, "of another name does not matter");

    begin(&packet, FLAGS, "a.example", A);
    rr_name(&packet, "@12", CNAME, 100, "b.example");
    packet.data[packet.len - 20] = 3;
    ok(parse("a.example", A) == NH_OK && answer.n_links == 0, "nor one of class CH");
}

static void test_loops(void)
{
    begin(&packet, FLAGS, "a.example", A);
    rr_name(&packet, "@12", CNAME, 50, "A.example");
    rr(&packet, "@12", A, 20, ip1, 4);
    keep("loop", "a.example", A);
    ok(parse("a.example", A) == NH_OK && answer.loop && answer.n_links == 0, "a loop of one");
    ok(answer.n_records == 0 && answer.ttl == 50, "has no records, and the CNAME's TTL");
    ok(parse("a.example", CNAME) == NH_OK && answer.loop && answer.n_links == 1 &&
           strcmp(answer.records[0].name, "a.example") == 0,
       "a CNAME question shows the CNAME itself");

    begin(&packet, FLAGS, "a.example", A);
    rr_name(&packet, "c.example", CNAME, 30, "b.example");
    rr_name(&packet, "b.example", CNAME, 40, "c.example");
    rr_name(&packet, "@12", CNAME, 50, "b.example");
    ok(parse("a.example", A) == NH_OK && answer.loop && answer.n_links == 2,
       "a loop behind a name");
    is_text(answer.chain[2], "c.example", "ends before what would come again");
    ok(answer.ttl == 30, "the link that closes it counts for the TTL");

    for (int links = 64; links <= 65; links++) {
        begin(&packet, FLAGS, "n0.example", A);
        for (int i = links - 1; i >= 0; i--) {
            char from[20], to[20];

            (void)snprintf(from, sizeof(from), "n%d.example", i);
            (void)snprintf(to, sizeof(to), "n%d.example", i + 1);
            rr_name(&packet, from, CNAME, 50, to);
        }
        keep("too-many-links", "n0.example", A);
        if (links == 64)
            ok(parse("n0.example", A) == NH_OK && answer.n_links == 64, "a chain of 64 links");
        else
            ok(refused("n0.example", A), "and of 65");
    }
    begin(&packet, FLAGS, "a.example", A);
    for (int i = 0; i < 20; i++)
        rr_name(&packet, "@12", CNAME, 50, i == 0 ? "first.example" : "other.example");
    ok(parse("a.example", A) == NH_OK && answer.n_links == 1, "many CNAMEs at one name");
    is_text(answer.chain[1], "first.example", "the first one counts");
}

/* A chain of names that are as long as names get, when written as text. */
static void test_long_names(void)
{
    char name[3][2000];
    char escaped[300];

    for (int i = 0; i < 62; i++)
        memcpy(escaped + 4 * i, "\\128", 5);
    for (int i = 0; i < 3; i++)
        (void)snprintf(name[i], sizeof(name[i]), "%d%s.%s.%s.%.240s", i, escaped, escaped, escaped,
                       escaped);
    begin(&packet, FLAGS, name[0], A);
    rr_name(&packet, name[0], CNAME, 50, name[1]);
    rr_name(&packet, name[1], CNAME, 50, name[2]);
    rr(&packet, name[2], A, 50, ip1, 4);
    ok(parse(name[0], A) == NH_OK && answer.n_records == 1 && answer.n_links == 2,
       "names of %zu bytes of text", strlen(name[0]));
    is_text(answer.chain[2], name[2], "come out whole");

    begin(&packet, FLAGS, "a.example", A);
    rr_name(&packet, "@12", CNAME, 50, L63 "." L63 "." L63 "." X60 "x");
    keep("long", "a.example", A);
    ok(parse("a.example", A) == NH_OK && strlen(answer.chain[1]) == 253, "253 bytes of letters");
    begin(&packet, FLAGS, "a.example", A);
    rr_name(&packet, "@12", CNAME, 50, L63 "." L63 "." L63 "." X60 "xx");
    ok(refused("a.example", A), "254 are too many");
    memset(name[0], 'a', sizeof(name[0]));
    name[0][1030] = '\0';
    ok(refused(name[0], A), "as a question too");

    /* 60 names of 1,004 bytes would be too much for the block of the chain. */
    begin(&packet, FLAGS, "a", A);
    rr_name(&packet, "a", CNAME, 50, "\\100.\\100");
    for (int i = 0; i < 40; i++) {
        (void)snprintf(name[0], sizeof(name[0]), "%s.%s.%s.%.236s%c%c", escaped, escaped, escaped,
                       escaped, 'a' + i / 26, 'a' + i % 26);
        (void)snprintf(name[1], sizeof(name[1]), "%s.%s.%s.%.236s%c%c", escaped, escaped, escaped,
                       escaped, 'a' + (i + 1) / 26, 'a' + (i + 1) % 26);
        rr_name(&packet, i == 0 ? "d.d" : name[0], CNAME, 50, name[1]);
    }
    ok(refused("a", A), "a chain with more text than 65 host names have");
}

static void test_dname(void)
{
    char longest[300] = L63 "." L63 "." L63 ".";

    begin(&packet, FLAGS, "a.b.old.example", A);
    rr_name(&packet, "old.example", DNAME, 70, "new.example");
    rr(&packet, "a.b.new.example", A, 90, ip1, 4);
    keep("dname", "a.b.old.example", A);
    ok(parse("a.b.old.example", A) == NH_OK && answer.n_links == 1 && answer.n_records == 1,
       "a DNAME whose CNAME is missing");
    is_text(answer.chain[1], "a.b.new.example", "is applied");
    ok(answer.ttl == 70, "and its TTL");
    is_text(answer.dname, "old.example", "its owner, which is what is signed");
    ok(parse("old.example", A) == NH_OK && answer.n_links == 0 && !answer.dname,
       "not to its owner");
    ok(parse("bold.example", A) == NH_OK && answer.n_links == 0, "nor to what only looks below it");
    ok(parse("x.old.example", CNAME) == NH_OK && answer.n_links == 1 && answer.n_records == 1 &&
           strcmp(answer.records[0].name, "x.new.example") == 0,
       "a CNAME question below it");

    begin(&packet, FLAGS, "a.old.example", A);
    rr_name(&packet, "old.example", DNAME, 70, "new.example");
    rr_name(&packet, "a.old.example", CNAME, 60, "elsewhere.example");
    ok(parse("a.old.example", A) == NH_OK && answer.n_links == 1 && answer.ttl == 0,
       "a CNAME comes first");
    is_text(answer.chain[1], "elsewhere.example", "wherever it stands");

    begin(&packet, FLAGS, "a.example", A);
    rr_name(&packet, "a.example", CNAME, 90, "b.old.example");
    rr_name(&packet, "b.old.example", CNAME, 80, "b.new.example");
    rr_name(&packet, "old.example", DNAME, 30, "new.example");
    rr(&packet, "b.new.example", A, 90, ip1, 4);
    ok(parse("a.example", A) == NH_OK && answer.n_records == 1 && answer.ttl == 30,
       "a DNAME's TTL counts where its CNAME has a longer one");

    begin(&packet, FLAGS, "a.example", A);
    rr_name(&packet, "a.example", CNAME, 60, "b.old.example");
    rr_name(&packet, "old.example", DNAME, 70, "new.example");
    ok(parse("a.example", A) == NH_OK && answer.n_links == 2 && !answer.dname,
       "a DNAME behind a CNAME");

    begin(&packet, FLAGS, "a.example", A);
    rr_name(&packet, "example", DNAME, 70, ".");
    ok(parse("a.example", A) == NH_OK && answer.n_links == 1, "a DNAME to the root");
    is_text(answer.chain[1], "a", "shortens the name");

    begin(&packet, FLAGS, "a.loop.example", A);
    rr_name(&packet, "loop.example", DNAME, 70, "x.loop.example");
    keep("dname-loop", "a.loop.example", A);
    ok(refused("a.loop.example", A), "a DNAME that makes ever longer names");

    memcpy(longest + strlen(longest), X60, 59);
    begin(&packet, FLAGS, "a.old.example", A);
    rr_name(&packet, "old.example", DNAME, 70, longest);
    ok(parse("a.old.example", A) == NH_OK && strlen(answer.chain[1]) == 253, "253 bytes");
    ok(refused("aa.old.example", A), "254 bytes");

    begin(&packet, FLAGS, "a.old.example", A);
    rr_name(&packet, "@12", DNAME, 70, "new.example");
    rr_name(&packet, "@200", DNAME, 70, "new.example");
    ok(parse("a.old.example", A) == NH_OK && answer.n_links == 0, "an owner that cannot be read");

    begin(&packet, FLAGS, "a.old.example", A);
    rr_name(&packet, "old.example", DNAME, 70, "new.@200");
    ok(refused("a.old.example", A), "a target that cannot be read");
}

static void test_denials(void)
{
    begin(&packet, NXDOMAIN, "a.example", A);
    rr_soa(&packet, "example", 900, 300);
    keep("nxdomain", "a.example", A);
    ok(parse("a.example", A) == NH_OK && answer.rcode == 3 && answer.n_records == 0, "NXDOMAIN");
    ok(answer.ttl == 300, "the SOA's last field is the smaller");
    begin(&packet, FLAGS, "a.example", A);
    rr_soa(&packet, "example", 200, 300);
    ok(parse("a.example", A) == NH_OK && answer.rcode == 0 && answer.ttl == 200,
       "NODATA, the SOA's TTL is the smaller");
    begin(&packet, FLAGS, "a.example", A);
    rr_soa(&packet, "example", 200, 0xffffffff);
    ok(parse("a.example", A) == NH_OK && answer.ttl == 0, "a last field with the top bit set");

    begin(&packet, NXDOMAIN, "a.example", A);
    rr_name(&packet, "@12", CNAME, 50, "b.example");
    rr_soa(&packet, "example", 900, 300);
    ok(parse("a.example", A) == NH_OK && answer.rcode == 3 && answer.n_links == 1 &&
           answer.ttl == 50,
       "NXDOMAIN behind a CNAME, whose TTL counts");
    ok(parse("a.example", CNAME) == NH_OK && answer.n_records == 1 && answer.ttl == 50,
       "the CNAME is there all the same");

    begin(&packet, FLAGS, "a.example", A);
    put_name(&packet, "example");
    set16(&packet, AUTHORITY, 1);
    put16(&packet, 2); /* an NS record before the SOA */
    put16(&packet, 1);
    put32(&packet, 5);
    put16(&packet, 2);
    put16(&packet, 0xc00c);
    rr_soa(&packet, "example", 200, 300);
    keep("nodata", "a.example", A);
    ok(parse("a.example", A) == NH_OK && answer.ttl == 200, "an SOA behind other records");

    for (unsigned type = NH_TYPE_NSEC; type <= NH_TYPE_NSEC3;
         type += NH_TYPE_NSEC3 - NH_TYPE_NSEC) {
        for (int first = 0; first < 2; first++) {
            begin(&packet, FLAGS, "a.example", A);
            if (!first)
                rr_soa(&packet, "example", 200, 300);
            put_name(&packet, "example");
            put16(&packet, type);
            put16(&packet, 1);
            put32(&packet, 5);
            put16(&packet, 0);
            if (first)
                rr_soa(&packet, "example", 200, 300);
            set16(&packet, AUTHORITY, 2);
            ok(parse("a.example", A) == NH_OK && answer.ttl == 5,
               "the TTL of what proves a denial (%u), %s the SOA", type,
               first ? "before" : "behind");
        }
    }

    for (size_t cut = 1; cut <= 52; cut++) {
        bool good;

        begin(&packet, FLAGS, "a.example", A);
        rr_soa(&packet, "example", 200, 300);
        packet.len -= cut;
        set16(&packet, packet.len - (52 - cut) - 2, (unsigned)(52 - cut));
        good = parse("a.example", A) == NH_SERVFAIL && is_zeroed();
        if (!good || cut == 52)
            ok(good, "an SOA of %zu bytes", 52 - cut);
    }
    begin(&packet, FLAGS, "a.example", A);
    set16(&packet, AUTHORITY, 1);
    ok(refused("a.example", A), "an authority section that is not there");
    rr(&packet, "@12", A, 60, ip1, 4);
    ok(parse("a.example", A) == NH_OK && answer.n_records == 1, "is not looked at with records");
}

static void rr_nsec3(const char *data, size_t len)
{
    size_t at = begin_rr(&packet, AUTHORITY, "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example",
                         NH_TYPE_NSEC3, 60);

    put(&packet, data, len);
    end_rr(&packet, at);
}

/* What NSEC3 records say of their zone, behind a denial and behind what a wildcard has made. */
static void test_nsec3(void)
{
    for (int denial = 0; denial < 2; denial++) {
        const char *what = denial ? "a denial" : "a wildcard's answer";

        begin(&packet, denial ? NXDOMAIN : FLAGS, "a.example", A);
        if (!denial)
            rr(&packet, "@12", A, 60, "\300\0\2\1", 4);
        rr_soa(&packet, "example", 200, 300);
        ok(parse("a.example", A) == NH_OK && !answer.optout && answer.iterations == 0,
           "%s without NSEC3", what);
        rr_nsec3("\1\0\2\130\0\0", 6);
        ok(parse("a.example", A) == NH_OK && !answer.optout && answer.iterations == 600,
           "%s with 600 iterations", what);
        rr_nsec3("\1\1\0\1\0\0", 6);
        keep(denial ? "nsec3-denial" : "nsec3-wildcard", "a.example", A);
        ok(parse("a.example", A) == NH_OK && answer.optout && answer.iterations == 600,
           "%s with opt-out in one of them", what);
    }
    begin(&packet, FLAGS, "a.example", A);
    rr_soa(&packet, "example", 200, 300);
    rr_nsec3("\1\1\377\377", 4);
    ok(parse("a.example", A) == NH_OK && !answer.optout && answer.iterations == 0,
       "NSEC3 that is too short says nothing");
}

static void test_escapes(void)
{
    begin(&packet, FLAGS, "A\\046b\\032\\000\\255\\092-_Z.example", A);
    rr(&packet, "@12", A, 60, ip1, 4);
    keep("escapes", "a\\046b\\032\\000\\255\\092-_z.example", A);
    ok(parse("a\\046b\\032\\000\\255\\092-_z.example", A) == NH_OK && answer.n_records == 1,
       "a name full of escapes");
    ok(parse("a.b\\032\\000\\255\\092-_z.example", A) == NH_OK && answer.n_records == 0,
       "a dot in a label is no separator");
    rr_mx(&packet, "x.example", 60, 1, "a\\046b.\\064\\000.ex\\195\\188");
    ok(parse("x.example", MX) == NH_OK && answer.n_records == 1, "and a target");
    is_text(answer.records[0].name, "a\\046b.\\064\\000.ex\\195\\188", "has them as well");
}

/* The name of the one answer at offset 29 is replaced with these bytes. */
static bool refused_name(const char *bytes, size_t len)
{
    size_t at;

    begin(&packet, FLAGS, "a.example", A); /* the question ends at 27 */
    at = begin_rr(&packet, ANSWER, "@12", CNAME, 60);
    put(&packet, bytes, len); /* at 39 */
    end_rr(&packet, at);
    rr_name(&packet, "ab.example", A, 60, ".");
    return refused("a.example", A);
}

static void test_compression(void)
{
    char deep[30], owner[30];

    ok(refused_name("\xc0\x27", 2), "a pointer to itself");
    ok(refused_name("\1a\xc0\x27", 4), "a pointer to the name that it ends");
    ok(refused_name("\1a\xc0\x29", 4), "a pointer to itself behind a label");
    ok(refused_name("\xc0\x29", 2), "a pointer forward");
    ok(refused_name("\xff\xff", 2), "a pointer out of the packet");
    ok(refused_name("\xc0\x00", 2), "a pointer into the header");
    ok(refused_name("\xc0", 1), "half a pointer");
    ok(refused_name("\x41", 1), "a label of 65 bytes");
    ok(refused_name("\x80\1", 2), "a label of a reserved kind");
    ok(refused_name("\1a", 2), "a name without an end");
    ok(refused_name("", 0), "no name");
    ok(!refused_name("\1b\xc0\x0c", 4) && strcmp(answer.chain[1], "b.a.example") == 0,
       "a pointer back");

    /* Two names that point into each other. */
    begin(&packet, FLAGS, "a.example", A);
    rr_name(&packet, "b.@55", CNAME, 60, "@12"); /* the owner is at 27 */
    rr_name(&packet, "@12", CNAME, 60, "x.@27"); /* the target at 55 */
    ok(packet.len == 59 && packet.data[55] == 1, "(they stand where they should)");
    keep("pointers", "a.example", A);
    ok(refused("a.example", A), "two names that point to each other");

    /* Pointers to pointers. */
    begin(&packet, FLAGS, "a.example", A);
    for (size_t jumps = 1; jumps <= 128; jumps++) {
        (void)snprintf(deep, sizeof(deep), "@%zu", jumps == 1 ? 12 : packet.len - 2);
        (void)snprintf(owner, sizeof(owner), "jumps%zu", jumps);
        rr_name(&packet, owner, CNAME, 60, deep);
    }
    ok(parse("jumps127", A) == NH_OK && answer.n_links == 1, "a chain of 127 pointers");
    is_text(answer.chain[1], "a.example", "is followed");
    ok(refused("jumps128", A), "and of 128");
}

/* Every prefix of a good packet, each in a block of its own. */
static void test_prefixes(void)
{
    size_t answers_end;
    int wrong = 0;

    begin(&packet, FLAGS, "example.org", MX);
    rr_name(&packet, "@12", CNAME, 60, "b.@12");
    rr_mx(&packet, "b.@12", 300, 20, "mx2.@12");
    rr_mx(&packet, "B.example.org", 300, 10, "mx1.example.org");
    answers_end = packet.len;
    rr_soa(&packet, "example.org", 60, 60);
    for (size_t len = 0; len <= packet.len; len++) {
        enum nh_code code = parse_len(len, "example.org", MX);

        if (code != (len < answers_end ? NH_SERVFAIL : NH_OK))
            wrong++;
        if (code == NH_OK ? answer.n_records != 2 || answer.n_links != 1 : !is_zeroed())
            wrong++;
    }
    ok(wrong == 0, "an answer cut off at every byte");
    wrong = 0;
    for (size_t len = 0; len <= packet.len; len++) {
        enum nh_code code = parse_len(len, "x.example.org", MX);

        if (code != (len < packet.len ? NH_SERVFAIL : NH_OK))
            wrong++;
    }
    ok(wrong == 0, "a denial cut off at every byte");
    put(&packet, "garbage", 7);
    ok(parse("example.org", MX) == NH_OK && answer.n_records == 2, "bytes behind the packet");
}

/* Every byte of a packet with every value: whatever comes out must be sound. */
static void test_every_byte(void)
{
    static const uint16_t types[] = {A, MX, CNAME};
    int wrong = 0;

    begin(&packet, FLAGS, "a.example", MX);
    rr_name(&packet, "example", DNAME, 60, "elpmaxe");
    rr_name(&packet, "@12", CNAME, 60, "b.@12");
    rr_mx(&packet, "b.@12", 300, 20, "mx2.@12");
    rr(&packet, "@29", A, 300, ip1, 4);
    rr_soa(&packet, "example", 60, 60);
    for (size_t at = 0; at < packet.len; at++) {
        uint8_t old = packet.data[at];

        for (int value = 0; value < 256; value++) {
            packet.data[at] = (uint8_t)value;
            for (size_t i = 0; i < 3; i++) {
                enum nh_code code = parse("a.example", types[i]);

                if (code != NH_OK && (code != NH_SERVFAIL || !is_zeroed()))
                    wrong++;
                for (size_t n = 0; code == NH_OK && n <= answer.n_links; n++)
                    wrong += strlen(answer.chain[n]) >= NH_NAME_MAX;
                for (size_t n = 0; n < answer.n_records; n++)
                    wrong += !in_memory(answer.records[n].data, answer.records[n].len);
            }
        }
        packet.data[at] = old;
    }
    ok(wrong == 0, "every byte of a packet with every value");
}

static void test_headers(void)
{
    begin(&packet, FLAGS, "a.example", A);
    rr(&packet, "@12", A, 60, ip1, 4);
    set16(&packet, ANSWER, 65535);
    malloc_size = 0;
    ok(refused("a.example", A) && malloc_size < 1000, "65,535 records in one");
    set16(&packet, ANSWER, 1);
    set16(&packet, ADDITIONAL, 65535);
    ok(parse("a.example", A) == NH_OK, "the additional section is not looked at");
    for (unsigned rcode = 0; rcode < 16; rcode++) {
        set16(&packet, 2, 0x8180 | rcode);
        ok(parse("a.example", A) == (rcode == 0 || rcode == 3 ? NH_OK : NH_SERVFAIL), "rcode %u",
           rcode);
    }
    set16(&packet, 2, FLAGS | 0x0200);
    ok(refused("a.example", A), "an answer that is cut short (TC)");
    set16(&packet, 2, FLAGS & 0x7fff);
    ok(refused("a.example", A), "a query");
    set16(&packet, 2, FLAGS);
    set16(&packet, 4, 2);
    ok(refused("a.example", A), "two questions");

    packet.len = 12;
    memset(packet.data, 0, 12);
    set16(&packet, 2, FLAGS);
    ok(parse("a.example", A) == NH_OK && answer.n_records == 0 && answer.ttl == 0,
       "an empty packet without a question");
    set16(&packet, 4, 1);
    ok(refused("a.example", A), "a question that is not there");
    rr(&packet, "a.example", A, 60, ip1, 4);
    set16(&packet, 4, 0);
    ok(parse("a.example", A) == NH_OK && answer.n_records == 1, "an answer without a question");
    nh_answer_free(&answer);
    ok(nh_answer_parse(&answer, NULL, 0, "a", A) == NH_SERVFAIL, "no packet at all");
}

static void test_many(void)
{
    uint8_t data[67] = {3, 1, 1};
    size_t wrong = 0;

    begin(&packet, FLAGS, "_25._tcp.mx.example", TLSA);
    for (unsigned i = 0; i < 1000; i++) {
        data[3] = (uint8_t)(i >> 8);
        data[34] = (uint8_t)i;
        rr(&packet, "@12", TLSA, 60, data, 35);
    }
    ok(parse("_25._tcp.mx.example", TLSA) == NH_OK && answer.n_records == 1000, "1,000 records");
    for (unsigned i = 0; i < 1000; i++)
        wrong += answer.records[i].data[3] != i >> 8 || answer.records[i].data[34] != (i & 0xff);
    ok(wrong == 0, "all there and in order");
    ok(malloc_size < 70000, "in %zu bytes", malloc_size);

    begin(&packet, FLAGS, "a", A);
    for (unsigned i = 0; i < 4090; i++)
        rr(&packet, "@12", A, 60, (uint8_t[4]){10, 0, (uint8_t)(i % 8), (uint8_t)i}, 4);
    ok(parse("a", A) == NH_OK && answer.n_records == 256, "4,090 records, most of them twice");
    ok(packet.len < 65536, "in %zu bytes", packet.len);

    begin(&packet, FLAGS, "a", MX);
    for (unsigned i = 0; i < 2000; i++) {
        char target[30];

        (void)snprintf(target, sizeof(target), "mx%u.@12", i);
        rr_mx(&packet, "@12", 60, i % 7, target);
    }
    ok(parse("a", MX) == NH_OK && answer.n_records == 2000, "2,000 MX records");
    is_text(answer.records[1999].name, "mx1999.a", "to the last");
}

static void test_dnssec(void)
{
    begin(&packet, FLAGS, ".", NH_TYPE_DNSKEY);
    ok(!nh_answer_has_dnssec(packet.data, packet.len), "no records, no DNSSEC");
    rr(&packet, ".", NH_TYPE_DNSKEY, 60, "\1\1\3\10xxxx", 8);
    ok(!nh_answer_has_dnssec(packet.data, packet.len), "a DNSKEY alone");
    rr(&packet, ".", NH_TYPE_RRSIG, 60, "\0", 1);
    ok(!nh_answer_has_dnssec(packet.data, packet.len), "with an RRSIG of one byte");
    rr(&packet, ".", NH_TYPE_RRSIG, 60, "\0\1xxxx", 6);
    ok(!nh_answer_has_dnssec(packet.data, packet.len), "with another type's RRSIG");
    rr(&packet, ".", NH_TYPE_RRSIG, 60, "\0\60xxxx", 6);
    ok(nh_answer_has_dnssec(packet.data, packet.len), "with its own");
    keep("dnskey", ".", NH_TYPE_DNSKEY);
    ok(!nh_answer_has_dnssec(packet.data, packet.len - 1), "not when it is cut off");
    begin(&packet, FLAGS, ".", NH_TYPE_DNSKEY);
    rr(&packet, ".", NH_TYPE_RRSIG, 60, "\0\60xxxx", 6);
    ok(!nh_answer_has_dnssec(packet.data, packet.len), "an RRSIG alone");
}

int main(void)
{
    test_addresses();
    test_mx();
    test_tlsa();
    test_chain();
    test_loops();
    test_long_names();
    test_dname();
    test_denials();
    test_nsec3();
    test_escapes();
    test_compression();
    test_prefixes();
    test_every_byte();
    test_headers();
    test_many();
    test_dnssec();
    nh_answer_free(&answer);
    nh_answer_free(&answer);
    ok(is_zeroed(), "freed twice");
    return tap_done();
}
