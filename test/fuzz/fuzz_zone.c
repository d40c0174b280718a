/* Files of time zones: whatever parses has days that follow each other, and windows that tile the time around any second. */
#include "fuzz.h"
#include "window.h"
#include "zones.h"

#define DAY_S  86400
#define YEAR_S (366 * DAY_S)

static void check_window(const struct zone *z, enum window_unit unit, int64_t t)
{
	struct window_spec w = {.unit = unit, .zone = z};
	int64_t begin = window_begin_s(w, t), next = window_next_s(w, t);

	require(begin <= t && t < next);
	require(window_begin_s(w, next) == next);
	if (begin > 0)
		require(window_next_s(w, begin - 1) == begin);
}

static void check_windows(const struct zone *z, int64_t t)
{
	for (enum window_unit u = 0; u < WINDOW_TOTAL; u++)
		check_window(z, u, MAX_OF(t, 0));
}

/* When the offset changes between the two; 0: it does not. */
static int64_t change_s(const struct zone *z, int64_t from_s, int64_t until_s)
{
	int32_t before = zone_offset_s(z, from_s);

	if (zone_offset_s(z, until_s) == before)
		return 0;
	while (until_s - from_s > 1) {
		int64_t mid = (from_s + until_s) / 2;

		if (zone_offset_s(z, mid) == before)
			from_s = mid;
		else
			until_s = mid;
	}
	return until_s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_of(data, n);
	uint32_t t = 0;
	struct zone *z;

	(void)zones_name_is_valid(in);
	for (size_t i = 0; i < n; i++)
		t = t * 31 + data[i];
	if (zone_parse(in, &z))
		return 0;
	check_windows(z, t);
	for (int64_t day = t; day < t + YEAR_S; day += DAY_S) {
		int64_t change = change_s(z, day, day + DAY_S);

		for (int64_t at = change - 3601; change && at <= change + 3600; at += 1800)
			check_windows(z, at);
	}
	zone_free(&z);
	return 0;
}
