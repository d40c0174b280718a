#include "settings.h"

#include <stddef.h>

#include "text.h"

#define PPM INT64_C(1000000)

const struct settings_row settings_rows[] = {
#define SETTING(type, member, path, min, max, def, unit, reload, sentence) \
	{path,                                                             \
	 SETTINGS_##type,                                                  \
	 offsetof(struct settings, member),                                \
	 min,                                                              \
	 max,                                                              \
	 def,                                                              \
	 unit,                                                             \
	 SETTINGS_##reload,                                                \
	 sentence},
#include "settings_tbl.h"
#undef SETTING
};
const size_t settings_rows_n = ARRAY_LEN(settings_rows);

static void *member(const struct settings_row *row, const void *base)
{
	return (char *)(uintptr_t)base + row->offset;
}

static bool parse_bool(struct slice text, bool *out)
{
	static const char *const words[] = {"off", "on", "false", "true", "no", "yes"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (slice_is(text, words[i])) {
			*out = i % 2;
			return true;
		}
	}
	return false;
}

bool settings_ratio(struct slice text, int64_t *out)
{
	struct slice rest = text, head;
	uint64_t a, b;

	if (slice_cut(&rest, '/', &head)) {
		if (!text_u64(head, &a) || !text_u64(rest, &b) || b == 0 || a > b ||
		    b > (uint64_t)PPM)
			return false;
		*out = (int64_t)(a * (uint64_t)PPM / b);
		return true;
	}
	if (slice_has_suffix(text, SLICE_LIT("%")))
		return text_decimal(slice_sub(text, 0, text.n - 1), 4, out) == ERRC_OK;
	return text_decimal(text, 6, out) == ERRC_OK;
}

/* The n-th of "a|b|c|"; empty when there are fewer. */
static struct slice choice_at(const struct settings_row *row, int n)
{
	struct slice rest = slice_str(row->unit), word = SLICE_NONE;

	for (int i = 0; i <= n; i++) {
		if (!slice_cut(&rest, '|', &word))
			return SLICE_NONE;
	}
	return word;
}

static enum errc parse_choice(const struct settings_row *row, struct slice text, int *out)
{
	for (int i = 0; choice_at(row, i).n; i++) {
		if (slice_eq(choice_at(row, i), text)) {
			*out = i;
			return ERRC_OK;
		}
	}
	return ERRC_SYNTAX;
}

static bool parse_number(const struct settings_row *row, struct slice text, int64_t *out)
{
	switch (row->type) {
	case SETTINGS_AUTO:
		if (slice_is(text, "auto")) {
			*out = 0;
			return true;
		}
		return text_i64(text, out);
	case SETTINGS_BYTES:
		return text_bytes(text, out);
	case SETTINGS_MS:
		if (slice_is(text, "off")) {
			*out = 0;
			return true;
		}
		return text_duration_ms(text, 1000, out);
	case SETTINGS_RATIO:
		return settings_ratio(text, out);
	default:
		return text_i64(text, out);
	}
}

enum errc settings_parse(const struct settings_row *row, struct slice text, void *s)
{
	int64_t v;

	switch (row->type) {
	case SETTINGS_BOOL:
		return parse_bool(text, member(row, s)) ? ERRC_OK : ERRC_SYNTAX;
	case SETTINGS_ENUM:
		return parse_choice(row, text, member(row, s));
	case SETTINGS_TEXT:
	case SETTINGS_PATH:
		if ((int64_t)text.n < row->min || (int64_t)text.n > row->max)
			return ERRC_RANGE;
		*(struct slice *)member(row, s) = text;
		return ERRC_OK;
	case SETTINGS_LIST:
	case SETTINGS_NODE:
		return ERRC_INVAL;
	default:
		if (!parse_number(row, text, &v))
			return ERRC_SYNTAX;
		if (v < row->min || v > row->max)
			return ERRC_RANGE;
		*(int64_t *)member(row, s) = v;
		return ERRC_OK;
	}
}

static enum errc print_unit(struct buf *out, int64_t v, const char *const *names,
			    const int64_t *sizes, size_t n)
{
	for (size_t i = n; i-- > 1;) {
		if (v && v % sizes[i] == 0)
			return buf_addf(out, "%lld%s", (long long)(v / sizes[i]), names[i]);
	}
	return buf_addf(out, "%lld%s", (long long)v, names[0]);
}

static enum errc print_bytes(struct buf *out, int64_t v)
{
	static const char *const names[] = {"", "KiB", "MiB", "GiB"};
	static const int64_t sizes[] = {1, 1 << 10, 1 << 20, 1 << 30};

	return print_unit(out, v, names, sizes, ARRAY_LEN(names));
}

static enum errc print_ms(struct buf *out, int64_t v)
{
	static const char *const names[] = {"ms", "s", "m", "h"};
	static const int64_t sizes[] = {1, 1000, 60000, 3600000};

	return v ? print_unit(out, v, names, sizes, ARRAY_LEN(names)) : buf_addz(out, "0s");
}

static enum errc print_number(const struct settings_row *row, int64_t v, struct buf *out)
{
	char z[TEXT_DECIMAL_MAX];

	switch (row->type) {
	case SETTINGS_BYTES:
		return print_bytes(out, v);
	case SETTINGS_MS:
		return print_ms(out, v);
	case SETTINGS_RATIO:
		return buf_add(out, z, text_decimal_print(v, 6, 0, z));
	case SETTINGS_AUTO:
		if (v == 0)
			return buf_addz(out, "auto");
		return buf_addi(out, v);
	default:
		return buf_addi(out, v);
	}
}

static enum errc print_list(const struct settings_list *l, struct buf *out)
{
	enum errc rc = ERRC_OK;

	for (size_t i = 0; i < l->n && rc == ERRC_OK; i++) {
		rc = i ? buf_addz(out, ", ") : ERRC_OK;
		if (rc == ERRC_OK)
			rc = buf_adds(out, l->v[i]);
	}
	return rc;
}

enum errc settings_print(const struct settings_row *row, const void *s, struct buf *out)
{
	const void *m = member(row, s);

	switch (row->type) {
	case SETTINGS_BOOL:
		return buf_addz(out, *(const bool *)m ? "on" : "off");
	case SETTINGS_ENUM:
		return buf_adds(out, choice_at(row, *(const int *)m));
	case SETTINGS_TEXT:
	case SETTINGS_PATH:
		return buf_adds(out, *(const struct slice *)m);
	case SETTINGS_LIST:
		return print_list(m, out);
	case SETTINGS_NODE:
		return ERRC_INVAL;
	default:
		return print_number(row, *(const int64_t *)m, out);
	}
}

static enum errc expected_range(const struct settings_row *row, struct buf *out, const char *what)
{
	enum errc rc = buf_addf(out, "%s from ", what);

	if (rc == ERRC_OK)
		rc = print_number(row, row->min, out);
	if (rc == ERRC_OK)
		rc = buf_addz(out, " to ");
	return rc == ERRC_OK ? print_number(row, row->max, out) : rc;
}

static enum errc expected_choice(const struct settings_row *row, struct buf *out)
{
	enum errc rc = buf_addz(out, "one of ");

	for (int i = 0; choice_at(row, i).n && rc == ERRC_OK; i++)
		rc = buf_addf(out, "%s" SLICE_FMT, i ? ", " : "", SLICE_ARG(choice_at(row, i)));
	return rc;
}

enum errc settings_expected(const struct settings_row *row, struct buf *out)
{
	enum errc rc;

	switch (row->type) {
	case SETTINGS_BOOL:
		return buf_addz(out, "on or off");
	case SETTINGS_ENUM:
		return expected_choice(row, out);
	case SETTINGS_PATH:
		return buf_addf(out, "a path of at most %lld bytes", (long long)row->max);
	case SETTINGS_TEXT:
		return buf_addf(out, "a text of at most %lld bytes", (long long)row->max);
	case SETTINGS_LIST:
		return buf_addf(out, "a list of at most %lld texts", (long long)row->max);
	case SETTINGS_NODE:
		return buf_addz(out, row->unit);
	case SETTINGS_AUTO:
		return buf_addf(out, "auto or a whole number from 1 to %lld", (long long)row->max);
	case SETTINGS_BYTES:
		return expected_range(row, out, "a size");
	case SETTINGS_RATIO:
		return expected_range(row, out, "a share");
	case SETTINGS_MS:
		rc = expected_range(row, out, "a time span");
		return rc == ERRC_OK ? buf_addz(out, ", such as 15s") : rc;
	default:
		return expected_range(row, out, "a whole number");
	}
}

static bool lists_equal(const struct settings_list *a, const struct settings_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (!slice_eq(a->v[i], b->v[i]))
			return false;
	}
	return true;
}

bool settings_equal(const struct settings_row *row, const void *a, const void *b)
{
	const void *x = member(row, a), *y = member(row, b);

	switch (row->type) {
	case SETTINGS_BOOL:
		return *(const bool *)x == *(const bool *)y;
	case SETTINGS_ENUM:
		return *(const int *)x == *(const int *)y;
	case SETTINGS_TEXT:
	case SETTINGS_PATH:
		return slice_eq(*(const struct slice *)x, *(const struct slice *)y);
	case SETTINGS_LIST:
		return lists_equal(x, y);
	default:
		return *(const int64_t *)x == *(const int64_t *)y;
	}
}

static size_t member_size(enum settings_type type)
{
	switch (type) {
	case SETTINGS_BOOL:
		return sizeof(bool);
	case SETTINGS_ENUM:
		return sizeof(int);
	case SETTINGS_TEXT:
	case SETTINGS_PATH:
		return sizeof(struct slice);
	case SETTINGS_LIST:
		return sizeof(struct settings_list);
	default:
		return sizeof(int64_t);
	}
}

void settings_keep(struct settings *s, const struct settings *boot)
{
	for (size_t i = 0; i < settings_rows_n; i++) {
		const struct settings_row *row = &settings_rows[i];

		if (row->reload == SETTINGS_RESTART)
			memcpy((char *)s + row->offset, (const char *)boot + row->offset,
			       member_size(row->type));
	}
}

/* The defaults of the LIST rows that have one. */
static const struct slice any[] = {{"*", 1}}, most[] = {{"0.8", 3}, {"1", 1}};
static const struct {
	const char *def;
	struct settings_list list;
} lists[] = {{"*", {any, ARRAY_LEN(any)}}, {"0.8, 1", {most, ARRAY_LEN(most)}}};

static struct settings_list default_list(struct slice def)
{
	size_t i = 0;

	while (!slice_is(def, lists[i].def))
		require(++i < ARRAY_LEN(lists));
	return lists[i].list;
}

void settings_defaults(struct settings *s)
{
	*s = (struct settings){0};
	for (size_t i = 0; i < settings_rows_n; i++) {
		const struct settings_row *row = &settings_rows[i];
		struct slice def = slice_str(row->def);

		if (row->type != SETTINGS_LIST)
			require(settings_parse(row, def, s) == ERRC_OK);
		else if (def.n)
			*(struct settings_list *)member(row, s) = default_list(def);
	}
}
