#include "slice.h"

static unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

bool slice_ieq(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (a.p[i] != b.p[i] && lower((unsigned char)a.p[i]) != lower((unsigned char)b.p[i]))
			return false;
	return true;
}

bool slice_has_prefix(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && slice_eq(slice_of(s.p, prefix.n), prefix);
}

bool slice_has_suffix(struct slice s, struct slice suffix)
{
	return s.n >= suffix.n && slice_eq(slice_sub(s, s.n - suffix.n, suffix.n), suffix);
}

struct slice slice_trim(struct slice s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

struct slice slice_sub(struct slice s, size_t from, size_t n)
{
	if (from > s.n)
		from = s.n;
	if (n > s.n - from)
		n = s.n - from;
	return (struct slice){s.p ? s.p + from : NULL, n};
}

ptrdiff_t slice_chr(struct slice s, char c)
{
	const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

	return at ? at - s.p : -1;
}

ptrdiff_t slice_find(struct slice s, struct slice needle)
{
	const char *at;

	if (needle.n == 0)
		return 0;
	if (needle.n > s.n)
		return -1;
	at = memmem(s.p, s.n, needle.p, needle.n);
	return at ? at - s.p : -1;
}

bool slice_cut(struct slice *s, char sep, struct slice *head)
{
	ptrdiff_t at = slice_chr(*s, sep);
	struct slice all = *s;

	if (at < 0) {
		*head = all;
		*s = slice_sub(all, all.n, 0);
		return false;
	}
	*head = slice_sub(all, 0, (size_t)at);
	*s = slice_sub(all, (size_t)at + 1, all.n);
	return true;
}

int slice_cmp(struct slice a, struct slice b)
{
	size_t n = MIN_OF(a.n, b.n);
	int c = n ? memcmp(a.p, b.p, n) : 0;

	if (c)
		return c;
	return a.n < b.n ? -1 : a.n > b.n;
}

bool slice_glob(struct slice pattern, struct slice s)
{
	size_t pi = 0, si = 0, star = SIZE_MAX, retry = 0;

	while (si < s.n) {
		if (pi < pattern.n && pattern.p[pi] == '*') {
			star = pi++;
			retry = si;
		} else if (pi < pattern.n && (pattern.p[pi] == '?' || pattern.p[pi] == s.p[si])) {
			pi++;
			si++;
		} else if (star != SIZE_MAX) {
			pi = star + 1;
			si = ++retry;
		} else {
			return false;
		}
	}
	while (pi < pattern.n && pattern.p[pi] == '*')
		pi++;
	return pi == pattern.n;
}
