#include "script.h"

#include <stddef.h>
#include <stdio.h>

#include "text.h"

enum script_type { SCRIPT_NUM, SCRIPT_MS, SCRIPT_WORDS };

#define SCRIPT_TYPE_NUM  SCRIPT_NUM
#define SCRIPT_TYPE_MS   SCRIPT_MS
#define SCRIPT_TYPE_WORD SCRIPT_WORDS

static const struct {
	const char *name;
	enum script_type type;
	size_t offset;
	int64_t def;
	const char *text;
} rows[] = {
#define SCRIPT(m, type, def, text) {#m, SCRIPT_TYPE_##type, offsetof(struct script, m), def, text},
#include "script_tbl.h"
#undef SCRIPT
};

static const struct {
	const char *word, *text;
} faults[] = {
#define SCRIPT_FAULT(id, word, text) {word, text},
#include "script_fault_tbl.h"
#undef SCRIPT_FAULT
};

static bool set(struct script *s, size_t row, struct slice value)
{
	char *at = (char *)s + rows[row].offset;

	switch (rows[row].type) {
	case SCRIPT_NUM:
		return text_i64(value, (int64_t *)at);
	case SCRIPT_MS:
		return text_duration_ms(value, 1, (int64_t *)at);
	default:
		if (value.n >= SCRIPT_WORD)
			return false;
		memcpy(at, value.p, value.n);
		at[value.n] = '\0';
		return true;
	}
}

static bool set_fault(struct script *s)
{
	struct slice word = slice_str(s->fault), name;

	if (slice_cut(&word, '@', &name) && !text_i64(word, &s->at))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		if (!slice_is(name, faults[i].word))
			continue;
		s->kind = (enum script_fault)i;
		return true;
	}
	return false;
}

enum errc script_parse(struct slice model, struct script *out, struct slice *bad)
{
	struct slice part, key;

	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].type != SCRIPT_WORDS)
			*(int64_t *)((char *)out + rows[i].offset) = rows[i].def;
	if (!slice_cut(&model, '?', &part))
		return ERRC_OK;
	while (model.n > 0) {
		size_t i;

		slice_cut(&model, '&', &part);
		*bad = part;
		slice_cut(&part, '=', &key);
		for (i = 0; i < ARRAY_LEN(rows) && !slice_is(key, rows[i].name); i++)
			;
		if (i == ARRAY_LEN(rows) || !set(out, i, part))
			return ERRC_SYNTAX;
	}
	return set_fault(out) ? ERRC_OK : ERRC_SYNTAX;
}

void script_help(void)
{
	printf("Parameters of a model name, such as `sim?tokens=100&rate=50&fault=rst@3`:\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		printf("  %-12s %s\n", rows[i].name, rows[i].text);
	printf("\nFaults (fault=NAME or fault=NAME@N, behind the N-th content event):\n");
	for (size_t i = 1; i < ARRAY_LEN(faults); i++)
		printf("  %-13s %s\n", faults[i].word, faults[i].text);
}
