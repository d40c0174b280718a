#include "zone.h"

#include "be.h"
#include "clock.h"
#include "mem.h"

#define DAY_S       86400
#define OFFSET_MAX  (26 * 3600)            /* RFC 8536, 3.2: no zone is further from UTC */
#define KEPT_FROM_S (INT64_C(-40) * DAY_S) /* changes before are of no use: windows begin in 1970 */
#define HEADER      44
/* The changes that the rule makes until 2100 are put into the table when it is read: looking one up there takes a tenth of the time that
 * the rule takes, and some tzdata leave all of them to the rule. */
#define UNROLL_END_S INT64_C(4102444800)
#define UNROLL_MAX   264

/* A date of each year at which the rule of all years to come changes the offset. */
struct yearly {
	enum { MONTH_WEEK_DAY, DAY_NO_LEAP, DAY_OF_YEAR } kind;
	int month, week, day;
	int32_t time_s; /* of the local clock before the change; may be negative or beyond the day */
};

struct change {
	int64_t at_s;
	int32_t offset_s; /* from then on */
};

struct zone {
	int32_t first_s;        /* the offset before the first change */
	bool has_rule, has_dst; /* a rule for the time after the last change; with two offsets */
	int32_t std_s, dst_s;
	struct yearly begin, end; /* of DST */
	size_t n;
	struct change changes[];
};

/* A time during which the offset stays the same. */
struct span {
	int64_t from_s, until_s; /* INT64_MIN, INT64_MAX: for ever */
	int32_t offset_s;
};

/* Reading */

struct counts {
	uint32_t isut, isstd, leap, time, type, chars;
};

/* Takes a header; `time_bytes` is the width of times in the block behind it, whose length comes out. */
static bool take_header(struct slice *s, size_t time_bytes, struct counts *c, char *version,
			uint64_t *block)
{
	if (s->n < HEADER || memcmp(s->p, "TZif", 4) != 0)
		return false;
	*version = s->p[4];
	*c = (struct counts){(uint32_t)be_get(s->p + 20, 4), (uint32_t)be_get(s->p + 24, 4),
			     (uint32_t)be_get(s->p + 28, 4), (uint32_t)be_get(s->p + 32, 4),
			     (uint32_t)be_get(s->p + 36, 4), (uint32_t)be_get(s->p + 40, 4)};
	*s = slice_sub(*s, HEADER, s->n);
	*block = c->time * (time_bytes + 1) + UINT64_C(6) * c->type + c->chars +
		 c->leap * (time_bytes + 4) + UINT64_C(1) * c->isstd + c->isut;
	return *block <= s->n;
}

static int64_t time_at(const char *p, size_t i, size_t bytes)
{
	return bytes == 8 ? (int64_t)be_get(p + i * 8, 8) : (int32_t)be_get(p + i * 4, 4);
}

static bool offset_of(const char *types, const struct counts *c, size_t type, int32_t *out)
{
	if (type >= c->type)
		return false;
	*out = (int32_t)be_get(types + 6 * type, 4);
	return *out >= -OFFSET_MAX && *out <= OFFSET_MAX;
}

static enum errc read_block(struct slice block, const struct counts *c, size_t bytes,
			    struct zone **out)
{
	const char *kinds = block.p + c->time * bytes, *types = kinds + c->time;
	struct zone *z;
	int64_t last = INT64_MIN;

	if (c->leap || c->type == 0)
		return ERRC_SYNTAX;
	z = mem_new(sizeof *z + (c->time + UNROLL_MAX) * sizeof z->changes[0]);
	if (!z)
		return ERRC_NOMEM;
	if (!offset_of(types, c, 0, &z->first_s))
		goto bad;
	for (size_t i = 0; i < c->time; i++) {
		struct change h = {.at_s = time_at(block.p, i, bytes)};

		if (!offset_of(types, c, (uint8_t)kinds[i], &h.offset_s) ||
		    (i > 0 && h.at_s <= last))
			goto bad;
		last = h.at_s;
		if (h.at_s < KEPT_FROM_S)
			z->first_s = h.offset_s;
		else
			z->changes[z->n++] = h;
	}
	*out = z;
	return ERRC_OK;
bad:
	zone_free(&z);
	return ERRC_SYNTAX;
}

/* The rule behind the last change: "CET-1CEST,M3.5.0,M10.5.0/3" */

static bool take_char(struct slice *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = slice_sub(*s, 1, s->n);
	return true;
}

static bool take_number(struct slice *s, int min, int max, int *out)
{
	int v = 0;
	size_t n = 0;

	for (; n < s->n && n < 4 && s->p[n] >= '0' && s->p[n] <= '9'; n++)
		v = v * 10 + (s->p[n] - '0');
	*s = slice_sub(*s, n, s->n);
	*out = v;
	return n > 0 && v >= min && v <= max;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(struct slice *s, int hours_max, int32_t *out)
{
	bool minus = take_char(s, '-');
	int h, m = 0, sec = 0;

	if (!minus)
		take_char(s, '+');
	if (!take_number(s, 0, hours_max, &h))
		return false;
	if (take_char(s, ':') &&
	    (!take_number(s, 0, 59, &m) || (take_char(s, ':') && !take_number(s, 0, 59, &sec))))
		return false;
	*out = (minus ? -1 : 1) * (h * 3600 + m * 60 + sec);
	return true;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool take_name(struct slice *s)
{
	size_t n = 0;

	if (take_char(s, '<')) {
		ptrdiff_t end = slice_chr(*s, '>');

		*s = slice_sub(*s, end < 0 ? s->n : (size_t)end + 1, s->n);
		return end > 0;
	}
	while (n < s->n && is_letter(s->p[n]))
		n++;
	*s = slice_sub(*s, n, s->n);
	return n >= 3;
}

/* Their times count westward of UTC. */
static bool take_offset(struct slice *s, int32_t *out)
{
	int32_t west;

	if (!take_time(s, 24, &west))
		return false;
	*out = -west;
	return true;
}

static bool take_yearly(struct slice *s, struct yearly *y)
{
	bool ok;

	*y = (struct yearly){.time_s = 2 * 3600};
	if (!take_char(s, ','))
		return false;
	if (take_char(s, 'M')) {
		ok = take_number(s, 1, 12, &y->month) && take_char(s, '.') &&
		     take_number(s, 1, 5, &y->week) && take_char(s, '.') &&
		     take_number(s, 0, 6, &y->day);
	} else {
		y->kind = take_char(s, 'J') ? DAY_NO_LEAP : DAY_OF_YEAR;
		ok = take_number(s, y->kind == DAY_NO_LEAP, 365, &y->day);
	}
	return ok && (!take_char(s, '/') || take_time(s, 167, &y->time_s));
}

static bool read_rule(struct slice s, struct zone *z)
{
	if (s.n == 0)
		return true;
	z->has_rule = true;
	if (!take_name(&s) || !take_offset(&s, &z->std_s))
		return false;
	if (s.n == 0)
		return true;
	z->has_dst = true;
	z->dst_s = z->std_s + 3600;
	if (!take_name(&s) || (s.n && s.p[0] != ',' && !take_offset(&s, &z->dst_s)))
		return false;
	return take_yearly(&s, &z->begin) && take_yearly(&s, &z->end) && s.n == 0;
}

/* Spans */

static int64_t yearly_day(const struct yearly *y, int year)
{
	int64_t first;
	int day;

	switch (y->kind) {
	case DAY_OF_YEAR:
		return clock_days(year, 1, 1) + y->day;
	case DAY_NO_LEAP:
		return clock_days(year, 1, 1) + y->day - 1 +
		       (y->day >= 60 && clock_days(year, 3, 1) - clock_days(year, 2, 29) == 1);
	default:
		first = clock_days(year, y->month, 1);
		/* 1970-01-01 was a Thursday. */
		day = (int)(((y->day - first - 4) % 7 + 7) % 7) + 7 * (y->week - 1);
		return first + day - (first + day >= clock_days(year, y->month + 1, 1) ? 7 : 0);
	}
}

/* The changes of RULE_YEARS around a year in their order: the time of a change may lie a week and more before or behind its date.
 * Where DST ends at the instant at which it begins, it lasts. */
#define RULE_YEARS 5
static void rule_changes(const struct zone *z, int year, struct change *out)
{
	size_t n = 0;

	for (int y = year - RULE_YEARS / 2; y <= year + RULE_YEARS / 2; y++) {
		const struct change both[] = {
			{yearly_day(&z->end, y) * DAY_S + z->end.time_s - z->dst_s, z->std_s},
			{yearly_day(&z->begin, y) * DAY_S + z->begin.time_s - z->std_s, z->dst_s},
		};

		for (size_t i = 0; i < ARRAY_LEN(both); i++) {
			size_t at = n++;

			for (; at > 0 && out[at - 1].at_s > both[i].at_s; at--)
				out[at] = out[at - 1];
			out[at] = both[i];
		}
	}
}

static struct span span_of_rule(const struct zone *z, int64_t from_s, int64_t wall_s)
{
	struct span s = {from_s, INT64_MAX, z->std_s};
	struct change c[2 * RULE_YEARS];
	int year, m, d;

	if (!z->has_dst)
		return s;
	clock_date((wall_s + z->std_s) / DAY_S, &year, &m, &d);
	rule_changes(z, year, c);
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		if (c[i].at_s > wall_s) {
			s.until_s = c[i].at_s;
			break;
		}
		s.from_s = MAX_OF(from_s, c[i].at_s);
		s.offset_s = c[i].offset_s;
	}
	return s;
}

static struct span span_at(const struct zone *z, int64_t wall_s)
{
	size_t lo = 0, hi = z->n; /* changes[lo - 1] is the last one that has come */
	struct span s;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (z->changes[mid].at_s <= wall_s)
			lo = mid + 1;
		else
			hi = mid;
	}
	s = (struct span){lo ? z->changes[lo - 1].at_s : INT64_MIN,
			  lo < z->n ? z->changes[lo].at_s : INT64_MAX,
			  lo ? z->changes[lo - 1].offset_s : z->first_s};
	return lo == z->n && z->has_rule ? span_of_rule(z, s.from_s, wall_s) : s;
}

static void unroll(struct zone *z)
{
	int64_t at = z->n ? z->changes[z->n - 1].at_s : KEPT_FROM_S;

	for (size_t i = 0; z->has_dst && i < UNROLL_MAX; i++) {
		at = span_of_rule(z, at, at).until_s;
		if (at >= UNROLL_END_S)
			return;
		z->changes[z->n++] = (struct change){at, span_of_rule(z, at, at).offset_s};
	}
}

static int64_t mod(int64_t a, int64_t b)
{
	return (a % b + b) % b;
}

static int64_t day_of(int64_t local_s)
{
	return (local_s - mod(local_s, DAY_S)) / DAY_S;
}

enum errc zone_parse(struct slice bytes, struct zone **out)
{
	struct slice s = bytes;
	struct counts c;
	struct zone *z = NULL;
	char version;
	uint64_t block;
	size_t width = 4;
	enum errc rc = ERRC_SYNTAX;

	if (bytes.n > ZONE_FILE_MAX || !take_header(&s, width, &c, &version, &block))
		goto out;
	if (version) {
		/* The first block is for readers of 32-bit times. */
		s = slice_sub(s, block, s.n);
		width = 8;
		if (version < '2' || !take_header(&s, width, &c, &version, &block))
			goto out;
	}
	rc = read_block(s, &c, width, &z);
	if (rc || width == 4)
		goto out;
	s = slice_sub(s, block, s.n);
	if (s.n < 2 || s.p[0] != '\n' || s.p[s.n - 1] != '\n' ||
	    !read_rule(slice_sub(s, 1, s.n - 2), z))
		rc = ERRC_SYNTAX;
	else
		unroll(z);
out:
	if (rc)
		zone_free(&z);
	*out = z;
	return rc;
}

void zone_free(struct zone **zp)
{
	mem_free(*zp);
	*zp = NULL;
}

int32_t zone_offset_s(const struct zone *z, int64_t wall_s)
{
	return z ? span_at(z, wall_s).offset_s : 0;
}

int64_t zone_day(const struct zone *z, int64_t wall_s)
{
	int64_t day = day_of(wall_s + zone_offset_s(z, wall_s));

	while (z && zone_day_begin_s(z, day + 1) <= wall_s)
		day++;
	return day;
}

int64_t zone_day_begin_s(const struct zone *z, int64_t day)
{
	int64_t local_s = day * DAY_S, at;
	struct span s;

	if (!z)
		return local_s;
	/* Before this instant no clock can show the date. */
	s = span_at(z, local_s - OFFSET_MAX);
	while ((at = MAX_OF(s.from_s, local_s - s.offset_s)) >= s.until_s)
		s = span_at(z, s.until_s);
	return at;
}

int64_t zone_tick_begin_s(const struct zone *z, int64_t len_s, int64_t wall_s)
{
	struct span s, before;
	int64_t at;

	if (!z)
		return wall_s - mod(wall_s, len_s);
	s = span_at(z, wall_s);
	at = wall_s - mod(wall_s + s.offset_s, len_s);
	while (at < s.from_s) {
		before = span_at(z, s.from_s - 1);
		if ((s.offset_s - before.offset_s) % len_s)
			return s.from_s;
		s = before;
	}
	return at;
}

int64_t zone_tick_next_s(const struct zone *z, int64_t len_s, int64_t wall_s)
{
	struct span s, after;
	int64_t at;

	if (!z)
		return wall_s - mod(wall_s, len_s) + len_s;
	s = span_at(z, wall_s);
	at = wall_s - mod(wall_s + s.offset_s, len_s) + len_s;
	while (at > s.until_s) {
		after = span_at(z, s.until_s);
		if ((after.offset_s - s.offset_s) % len_s)
			return s.until_s;
		s = after;
	}
	return at;
}
