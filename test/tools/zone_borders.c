/* Answers each line `ZONE UNIT SECOND` with `OFFSET BEGIN NEXT` of the window around it, for test_zones.py. */
#include <inttypes.h>
#include <stdio.h>

#include "window.h"
#include "zones.h"

int main(void)
{
	char name[64], unit[16];
	int64_t t;

	while (scanf("%63s %15s %" SCNd64, name, unit, &t) == 3) {
		struct window_spec w = {.unit = window_unit_of(slice_str(unit))};
		enum errc rc = zones_find(slice_str(name), &w.zone);

		if (rc || w.unit == WINDOW_COUNT) {
			fprintf(stderr, "%s %s: %s\n", name, unit, errc_text(rc));
			return 1;
		}
		printf("%d %" PRId64 " %" PRId64 "\n", zone_offset_s(w.zone, t),
		       window_begin_s(w, t), window_next_s(w, t));
	}
	zones_fini();
	return 0;
}
