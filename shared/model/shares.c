#include "shares.h"

static void insert(struct shares *s, int64_t ppm)
{
	size_t at = s->n;

	while (at > 0 && s->ppm[at - 1] > ppm)
		at--;
	if (at > 0 && s->ppm[at - 1] == ppm)
		return;
	memmove(s->ppm + at + 1, s->ppm + at, (s->n - at) * sizeof *s->ppm);
	s->ppm[at] = ppm;
	s->n++;
}

bool shares_read(const struct settings_list *l, struct shares *out)
{
	*out = (struct shares){0};
	if (l->n > SHARES_MAX)
		return false;
	for (size_t i = 0; i < l->n; i++) {
		int64_t ppm;

		if (!settings_ratio(l->v[i], &ppm) || ppm <= 0 || ppm > SHARES_PPM_MAX)
			return false;
		insert(out, ppm);
	}
	return true;
}

int64_t shares_reached(const struct shares *s, int64_t part, int64_t whole)
{
	int64_t reached = 0;

	require(whole > 0);
	for (size_t i = 0; i < s->n; i++) {
		if ((__int128)part * 1000000 >= (__int128)whole * s->ppm[i])
			reached = s->ppm[i];
	}
	return reached;
}
