#include "chat_scan.h"

#include "chat_facts.h"

static const struct jscan_name chat_names_all[] = {
#define CHAT_FIELD(id, name, rule, values, anthropic, why) {name, true},
#define CHAT_PART(id, place, rule, values, anthropic, why)
#include "chat_field_tbl.h"
#undef CHAT_PART
#undef CHAT_FIELD
	{"content", false},   {"role", false},    {"type", false},        {"image_url", false},
	{"video_url", false}, {"url", false},     {"input_audio", false}, {"data", false},
	{"file_data", false}, {"file_id", false},
};

/* Filled before main() and only read afterwards, so that no request pays for it. */
static struct jscan_names chat_names;

__attribute__((constructor)) static void chat_names_make(void)
{
	_Static_assert(ARRAY_LEN(chat_names_all) == CHAT_ID_END - 1, "one name an id");
	jscan_names_init(&chat_names, chat_names_all, ARRAY_LEN(chat_names_all));
}

struct slice chat_scan_value(const struct chat_scan *s, struct slice body, enum chat_id id)
{
	const struct jscan_member *m = jscan_find(&s->j, id);

	return m && m->type != JSON_NULL ? jscan_value(m, body) : SLICE_NONE;
}

/* ---- what the scanner tells ---- */

/* A string somewhere in messages. */
static enum chat_text scan_message_text(const struct jscan *j, unsigned level)
{
	unsigned leaf = jscan_path(j, level), above = level ? jscan_path(j, level - 1) : 0;

	switch (leaf) {
	case CHAT_ID_ROLE:
	case CHAT_ID_TYPE:
		return CHAT_TEXT_NONE; /* part of the 8 tokens a message */
	case CHAT_ID_IMAGE_URL:
		return CHAT_TEXT_IMAGE;
	case CHAT_ID_VIDEO_URL:
		return CHAT_TEXT_VIDEO;
	case CHAT_ID_URL:
		return above == CHAT_ID_IMAGE_URL   ? CHAT_TEXT_IMAGE
		       : above == CHAT_ID_VIDEO_URL ? CHAT_TEXT_VIDEO
						    : CHAT_TEXT_PLAIN;
	case CHAT_ID_DATA:
		return above == CHAT_ID_INPUT_AUDIO ? CHAT_TEXT_AUDIO : CHAT_TEXT_PLAIN;
	case CHAT_ID_FILE_DATA:
		return CHAT_TEXT_FILE;
	case CHAT_ID_FILE_ID:
		return CHAT_TEXT_FILE_ID;
	default:
		return CHAT_TEXT_PLAIN;
	}
}

static enum chat_text scan_text_kind(const struct jscan *j)
{
	unsigned level = jscan_level(j);

	switch (jscan_path(j, 0)) {
	case CHAT_ID_MESSAGES:
		return scan_message_text(j, level);
	case CHAT_ID_PROMPT:
	case CHAT_ID_INPUT:
	case CHAT_ID_SUFFIX:
		return CHAT_TEXT_PLAIN;
	case CHAT_ID_PREDICTION:
		return level == 1 && jscan_path(j, 1) == CHAT_ID_TYPE ? CHAT_TEXT_NONE
								      : CHAT_TEXT_PREDICTED;
	default:
		return CHAT_TEXT_NONE;
	}
}

/* Elements of the lists that count, and token ids in place of text. */
static void scan_element(struct chat_scan *s, const struct jscan *j, enum json_type type)
{
	unsigned top = jscan_path(j, 0), level = jscan_level(j);

	if (level == 1 && top == CHAT_ID_MESSAGES) {
		s->bound.messages++;
	} else if (level == 1 && top == CHAT_ID_TOOLS) {
		s->bound.tools++;
	} else if (top == CHAT_ID_PROMPT || top == CHAT_ID_INPUT) {
		if (type == JSON_NUMBER)
			s->bound.text++;
		else if (level == 1)
			s->prompts++;
	}
}

static bool scan_value(void *arg, const struct jscan *j, enum json_type type)
{
	struct chat_scan *s = arg;

	if (jscan_path(j, jscan_level(j)) == JSCAN_ELEMENT)
		scan_element(s, j, type);
	if (type != JSON_STRING)
		return false;
	s->text = scan_text_kind(j);
	s->small_n = 0;
	s->run = (struct bound_run){0};
	return s->text != CHAT_TEXT_NONE;
}

static bool scan_text(void *arg, const struct jscan *j, struct slice piece)
{
	struct chat_scan *s = arg;
	size_t n = MIN_OF(piece.n, sizeof(s->small) - s->small_n);

	if (s->text == CHAT_TEXT_PLAIN || s->text == CHAT_TEXT_PREDICTED) {
		bound_push(&s->run, piece);
		return true;
	}
	memcpy(s->small + s->small_n, piece.p, n);
	s->small_n += (unsigned)n;
	return s->small_n < sizeof(s->small);
}

static bool scan_is_data(const struct chat_scan *s)
{
	return slice_has_prefix(slice_of(s->small, s->small_n), SLICE_LIT("data:"));
}

static void scan_by_reference(struct chat_scan *s)
{
	s->media_url = true;
	s->bound.whole_context = true;
}

static void scan_media(struct chat_scan *s, size_t bytes)
{
	switch (s->text) {
	case CHAT_TEXT_IMAGE:
		s->needs |= PTABLE_CAN_IMAGE_IN;
		s->bound.images++;
		if (!scan_is_data(s))
			scan_by_reference(s);
		break;
	case CHAT_TEXT_AUDIO:
		s->needs |= PTABLE_CAN_AUDIO_IN;
		s->bound.media_bytes += bytes / 4 * 3;
		break;
	case CHAT_TEXT_FILE:
		s->needs |= PTABLE_CAN_DOCUMENT_IN;
		s->bound.media_bytes += bytes / 4 * 3;
		break;
	case CHAT_TEXT_FILE_ID:
		s->needs |= PTABLE_CAN_DOCUMENT_IN;
		scan_by_reference(s);
		break;
	default:
		scan_by_reference(s);
		break;
	}
}

static void scan_string_end(void *arg, const struct jscan *j, enum json_type type, size_t bytes)
{
	struct chat_scan *s = arg;

	if (type != JSON_STRING || s->text == CHAT_TEXT_NONE)
		return;
	if (s->text == CHAT_TEXT_PREDICTED)
		s->bound.predicted += bound_of(&s->run);
	if (s->text == CHAT_TEXT_PREDICTED || s->text == CHAT_TEXT_PLAIN)
		s->bound.text += bound_of(&s->run);
	else
		scan_media(s, bytes);
	s->text = CHAT_TEXT_NONE;
}

static const struct jscan_events chat_events = {
	.value = scan_value,
	.text = scan_text,
	.end = scan_string_end,
};

/* ---- the front's functions ---- */

void chat_scan_init(void *scan, enum dialect_op op, unsigned depth_max)
{
	struct chat_scan *s = scan;

	memset(s, 0, sizeof(*s));
	s->op = op;
	jscan_init(&s->j, &chat_names, &chat_events, s);
	s->j.depth_max = depth_max;
}

void chat_scan_fini(void *scan)
{
	jscan_fini(&((struct chat_scan *)scan)->j);
}

static enum errc scan_fault(const struct chat_scan *s, enum errc e, struct fault *f)
{
	const struct jscan *j = &s->j;

	switch (e) {
	case ERRC_OK:
		break;
	case ERRC_DUPLICATE:
		fault_field(f, FAULT_INVALID_VALUE, j->err_name, "'%s': %s.", j->err_name,
			    j->err_text);
		break;
	case ERRC_NOMEM:
		fault_errc(f, e, "request");
		break;
	case ERRC_LIMIT:
		fault_set(f, FAULT_INVALID_JSON, "The body is not accepted: %s.", j->err_text);
		break;
	default:
		fault_set(f, FAULT_INVALID_JSON, "The body is not valid JSON: %s at byte %zu.",
			  j->err_text, j->err_off);
		break;
	}
	return e;
}

enum errc chat_scan_push(void *scan, const char *p, size_t len, struct fault *f)
{
	struct chat_scan *s = scan;

	return scan_fault(s, jscan_push(&s->j, p, len), f);
}

enum errc chat_scan_end(void *scan, struct slice body, struct dialect_facts *out, struct fault *f)
{
	struct chat_scan *s = scan;
	enum errc e = scan_fault(s, jscan_end(&s->j), f);

	return e ? e : chat_facts_read(s, body, out, f);
}
