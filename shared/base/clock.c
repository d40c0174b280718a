#include "clock.h"

#include <stdio.h>
#include <time.h>
#ifdef AIGW_TEST_HOOKS
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

#define S_DAY           86400
#define YEAR_9999_END_S INT64_C(253402300799)

static int64_t now_ns(clockid_t id)
{
	struct timespec ts;

	require(clock_gettime(id, &ts) == 0);
	return ts.tv_sec * CLOCK_NS_S + ts.tv_nsec;
}

int64_t clock_boot_ns(void)
{
	return now_ns(CLOCK_BOOTTIME);
}

int64_t clock_boot_ms(void)
{
	return clock_boot_ns() / CLOCK_NS_MS;
}

#ifdef AIGW_TEST_HOOKS
struct shift {
	_Atomic int64_t wall_ns, age_ns;
};

static const struct shift *shift;

static void map_shift(void)
{
	static const struct shift none;
	const char *path = getenv("AIGW_TEST_WALL");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, fd, 0);

	require(!path || p != MAP_FAILED);
	shift = path ? p : &none;
	if (fd >= 0)
		close(fd);
}

/* In test builds the file AIGW_TEST_WALL holds the nanoseconds that the wall clock is wrong by: so a test steps the clock of a
 * whole node at once, while it runs. Behind them those that have passed for who counts in days: with both days pass. */
static const struct shift *shifts(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, map_shift);
	return shift;
}

static int64_t wall_shift_ns(void)
{
	return atomic_load(&shifts()->wall_ns);
}

static int64_t age_shift_ns(void)
{
	return atomic_load(&shifts()->age_ns);
}
#else
static int64_t wall_shift_ns(void)
{
	return 0;
}

static int64_t age_shift_ns(void)
{
	return 0;
}
#endif

int64_t clock_age_ms(void)
{
	return (clock_boot_ns() + age_shift_ns()) / CLOCK_NS_MS;
}

int64_t clock_wall_ns(void)
{
	return now_ns(CLOCK_REALTIME) + wall_shift_ns();
}

int64_t clock_wall_ms(void)
{
	return clock_wall_ns() / CLOCK_NS_MS;
}

int64_t clock_wall_s(void)
{
	return clock_wall_ns() / CLOCK_NS_S;
}

/* Years are counted from March so that leap days come last. */
int64_t clock_days(int64_t y, int m, int d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

void clock_date(int64_t days, int *y, int *m, int *d)
{
	int64_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

	*d = (int)(doy - (153 * mp + 2) / 5 + 1);
	*m = (int)(mp < 10 ? mp + 3 : mp - 9);
	*y = (int)(yoe + era * 400 + (*m <= 2));
}

static char *put(char *at, int v, int digits)
{
	for (int i = digits - 1; i >= 0; i--) {
		at[i] = (char)('0' + v % 10);
		v /= 10;
	}
	return at + digits;
}

/* Writes up to the seconds, without the zone. */
static char *put_seconds(char *at, int64_t s)
{
	int y, m, d, rest = (int)(s % S_DAY);

	clock_date(s / S_DAY, &y, &m, &d);
	at = put(at, y, 4);
	*at++ = '-';
	at = put(at, m, 2);
	*at++ = '-';
	at = put(at, d, 2);
	*at++ = 'T';
	at = put(at, rest / 3600, 2);
	*at++ = ':';
	at = put(at, rest / 60 % 60, 2);
	*at++ = ':';
	return put(at, rest % 60, 2);
}

static int64_t clamp(int64_t v, int64_t max)
{
	return v < 0 ? 0 : v > max ? max : v;
}

size_t clock_format_s(int64_t wall_s, char *out)
{
	char *at = put_seconds(out, clamp(wall_s, YEAR_9999_END_S));

	*at++ = 'Z';
	*at = '\0';
	return (size_t)(at - out);
}

size_t clock_format_ms(int64_t wall_ms, char *out)
{
	int64_t ms = clamp(wall_ms, YEAR_9999_END_S * 1000 + 999);
	char *at = put_seconds(out, ms / 1000);

	*at++ = '.';
	at = put(at, (int)(ms % 1000), 3);
	*at++ = 'Z';
	*at = '\0';
	return (size_t)(at - out);
}

/* Reads exactly `digits` digits and cuts them off. */
static bool take(struct slice *s, int digits, int min, int max, int *out)
{
	int v = 0;

	if (s->n < (size_t)digits)
		return false;
	for (int i = 0; i < digits; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		v = v * 10 + (s->p[i] - '0');
	}
	*s = slice_sub(*s, (size_t)digits, s->n);
	*out = v;
	return v >= min && v <= max;
}

static bool take_char(struct slice *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = slice_sub(*s, 1, s->n);
	return true;
}

static bool take_date(struct slice *s, int64_t *days)
{
	static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int y, m, d;
	bool leap;

	if (!take(s, 4, 1970, 9999, &y) || !take_char(s, '-') || !take(s, 2, 1, 12, &m) ||
	    !take_char(s, '-') || !take(s, 2, 1, 31, &d))
		return false;
	leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
	if (d > month_days[m - 1] + (m == 2 && leap))
		return false;
	*days = clock_days(y, m, d);
	return true;
}

/* The fraction's first three digits count, at most nine are accepted. */
static bool take_fraction(struct slice *s, int *ms)
{
	size_t n = 0;

	*ms = 0;
	if (!take_char(s, '.'))
		return true;
	for (; n < s->n && s->p[n] >= '0' && s->p[n] <= '9'; n++)
		if (n < 3)
			*ms = *ms * 10 + (s->p[n] - '0');
	if (n == 0 || n > 9)
		return false;
	for (size_t i = n; i < 3; i++)
		*ms *= 10;
	*s = slice_sub(*s, n, s->n);
	return true;
}

static bool take_zone(struct slice *s, int *offset_s)
{
	int sign, h, m;

	*offset_s = 0;
	if (take_char(s, 'Z') || take_char(s, 'z'))
		return true;
	sign = take_char(s, '+') ? 1 : take_char(s, '-') ? -1 : 0;
	if (sign == 0 || !take(s, 2, 0, 23, &h) || !take_char(s, ':') || !take(s, 2, 0, 59, &m))
		return false;
	*offset_s = sign * (h * 3600 + m * 60);
	return true;
}

bool clock_parse(struct slice text, int64_t *wall_ms_out)
{
	int64_t days;
	int h, m, sec, ms, offset_s;

	if (!take_date(&text, &days))
		return false;
	if (text.n == 0) {
		*wall_ms_out = days * S_DAY * 1000;
		return true;
	}
	if (!(take_char(&text, 'T') || take_char(&text, 't') || take_char(&text, ' ')))
		return false;
	if (!take(&text, 2, 0, 23, &h) || !take_char(&text, ':') || !take(&text, 2, 0, 59, &m) ||
	    !take_char(&text, ':') || !take(&text, 2, 0, 60, &sec))
		return false;
	if (!take_fraction(&text, &ms) || !take_zone(&text, &offset_s) || text.n)
		return false;
	*wall_ms_out = (days * S_DAY + h * 3600 + m * 60 + sec - offset_s) * 1000 + ms;
	return true;
}
