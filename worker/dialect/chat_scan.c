#include "chat_scan.h"

#include "chat_facts.h"
#include "text.h"

static const struct jscan_name chat_names_all[] = {
#define CHAT_FIELD(id, name, rule, values, anthropic, why) {name, true},
#define CHAT_PART(id, place, rule, values, anthropic, why)
#include "chat_field_tbl.h"
#undef CHAT_PART
#undef CHAT_FIELD
#define CHAT_INNER(id, name) {name, false},
#include "chat_inner_tbl.h"
#undef CHAT_INNER
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

/* Levels of a path: messages, its elements, what is in them. */
#define LEVEL_MEMBER  2
#define LEVEL_PART    3
#define LEVEL_IN_PART 4

/* A name that nobody knows, or of which only pictures are. */
static bool scan_is_strange(unsigned id)
{
	return id == 0 || id == CHAT_ID_IMAGE || id == CHAT_ID_IMAGE_EMBEDS;
}

static enum chat_text scan_media_kind(unsigned id)
{
	switch (id) {
	case CHAT_ID_IMAGE_URL:
		return CHAT_TEXT_IMAGE;
	case CHAT_ID_INPUT_AUDIO:
	case CHAT_ID_AUDIO_URL:
		return CHAT_TEXT_AUDIO;
	case CHAT_ID_FILE:
	case CHAT_ID_FILE_URL:
	case CHAT_ID_FILE_DATA:
	case CHAT_ID_DOCUMENT_URL:
		return CHAT_TEXT_FILE;
	case CHAT_ID_FILE_ID:
		return CHAT_TEXT_FILE_ID;
	case CHAT_ID_VIDEO_URL:
		return CHAT_TEXT_REFERENCE;
	default:
		return CHAT_TEXT_PLAIN;
	}
}

/* A string somewhere in messages. What stands in a list is of the list's kind. */
static enum chat_text scan_message_text(const struct jscan *j, unsigned level)
{
	unsigned leaf, above;

	while (level > LEVEL_MEMBER && jscan_path(j, level) == JSCAN_ELEMENT)
		level--;
	leaf = jscan_path(j, level);
	above = level ? jscan_path(j, level - 1) : 0;
	switch (leaf) {
	case CHAT_ID_ROLE:
	case CHAT_ID_TYPE:
		return CHAT_TEXT_WORD;
	case CHAT_ID_URL:
		if (above == JSCAN_ELEMENT && jscan_path(j, LEVEL_MEMBER) == CHAT_ID_CONTENT)
			return CHAT_TEXT_REFERENCE;
		return scan_media_kind(above);
	case CHAT_ID_DATA:
		return scan_media_kind(above);
	case CHAT_ID_ID: /* an answer that was spoken before */
		return above == CHAT_ID_AUDIO ? CHAT_TEXT_REFERENCE : CHAT_TEXT_PLAIN;
	default:
		return scan_media_kind(leaf);
	}
}

static bool scan_is_in_content(const struct jscan *j)
{
	return jscan_path(j, 0) == CHAT_ID_MESSAGES &&
	       jscan_path(j, LEVEL_MEMBER) == CHAT_ID_CONTENT;
}

static bool scan_is_part(const struct jscan *j)
{
	return jscan_level(j) == LEVEL_PART && scan_is_in_content(j) &&
	       jscan_path(j, LEVEL_PART) == JSCAN_ELEMENT;
}

/* Whether the string is the type of a part, or of a part inside of a part. */
static bool scan_is_part_type(const struct jscan *j)
{
	unsigned level = jscan_level(j);

	return level >= LEVEL_IN_PART && scan_is_in_content(j) &&
	       jscan_path(j, level) == CHAT_ID_TYPE && jscan_path(j, level - 1) == JSCAN_ELEMENT &&
	       jscan_path(j, level - 2) == CHAT_ID_CONTENT;
}

static bool scan_is_in_images(const struct jscan *j)
{
	return jscan_path(j, 0) == CHAT_ID_MESSAGES &&
	       jscan_path(j, LEVEL_MEMBER) == CHAT_ID_IMAGES &&
	       jscan_path(j, LEVEL_PART) == JSCAN_ELEMENT;
}

static bool scan_is_image(const struct jscan *j)
{
	return jscan_level(j) == LEVEL_PART && scan_is_in_images(j);
}

/* What is known of an image that a model made, as it is sent back: {"type","image_url":{"url","detail"},"index"}. */
static bool scan_is_of_image(const struct jscan *j, enum json_type type)
{
	unsigned level = jscan_level(j), leaf = jscan_path(j, level);

	if (!scan_is_in_images(j))
		return false;
	switch (level) {
	case LEVEL_PART:
		return type == JSON_OBJECT;
	case LEVEL_IN_PART:
		return leaf == CHAT_ID_IMAGE_URL || (leaf == CHAT_ID_TYPE && type == JSON_STRING) ||
		       (leaf == CHAT_ID_INDEX && type == JSON_NUMBER);
	case LEVEL_IN_PART + 1:
		return jscan_path(j, LEVEL_IN_PART) == CHAT_ID_IMAGE_URL && type == JSON_STRING &&
		       (leaf == CHAT_ID_URL || leaf == CHAT_ID_DETAIL);
	default:
		return false;
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

static void scan_by_reference(struct chat_scan *s)
{
	s->media_url = true;
	s->bound.whole_context = true;
}

/* Elements of the lists that count, and token ids in place of text. */
static void scan_element(struct chat_scan *s, const struct jscan *j, enum json_type type)
{
	unsigned top = jscan_path(j, 0), level = jscan_level(j);

	if (level == 1 && top == CHAT_ID_MESSAGES) {
		s->bound.messages++;
	} else if (top == CHAT_ID_MESSAGES) {
		/* Of the text that providers put around it; a part has its message's. */
		s->bound.text += !(type == JSON_OBJECT && scan_is_part(j));
	} else if (level == 1 && top == CHAT_ID_TOOLS) {
		s->bound.tools++;
	} else if (top == CHAT_ID_PROMPT || top == CHAT_ID_INPUT) {
		if (type == JSON_NUMBER) {
			s->bound.text++;
			s->bound.ids++;
		} else if (level == 1) {
			s->bound.texts++;
		}
	}
}

/* Objects and lists where only parts are read by what is known here: a part says its type, and is no list. */
static void scan_container(struct chat_scan *s, const struct jscan *j, enum json_type type)
{
	unsigned top = jscan_path(j, 0);

	if ((scan_is_part(j) || scan_is_image(j)) && type == JSON_OBJECT) {
		s->part_typed = false;
		s->part_due = 0;
		s->part_seen = 0;
	} else if (scan_is_part(j) ||
		   (type == JSON_OBJECT && jscan_level(j) == LEVEL_MEMBER && scan_is_in_content(j)) ||
		   (type == JSON_OBJECT && (top == CHAT_ID_PROMPT || top == CHAT_ID_INPUT)))
		scan_by_reference(s);
}

/* Files of a message, by whichever provider's name, and pictures that may be larger than others. */
static bool scan_is_more(const struct jscan *j, enum json_type type)
{
	unsigned leaf = jscan_path(j, jscan_level(j)), member = jscan_path(j, LEVEL_MEMBER);

	if (jscan_path(j, 0) != CHAT_ID_MESSAGES || type == JSON_NULL || type == JSON_BOOL ||
	    type == JSON_ARRAY)
		return false;
	return leaf == CHAT_ID_MAX_PIXELS || leaf == CHAT_ID_MIN_PIXELS ||
	       member == CHAT_ID_FILE_IDS || member == CHAT_ID_FILES ||
	       (member == CHAT_ID_IMAGES && !scan_is_of_image(j, type));
}

/* ---- pictures by whatever name ---- */

/* Whether a part or a picture may stand here: in messages[].content, of which each element is a part, in messages[].images and .image,
 * and in the input of embeddings; as an element of the list, or in place of a list. */
static bool scan_is_place(const struct chat_scan *s, const struct jscan *j, bool *is_picture)
{
	unsigned level = jscan_level(j), member;

	*is_picture = false;
	if (s->op == DIALECT_EMBEDDINGS)
		return jscan_path(j, 0) == CHAT_ID_INPUT &&
		       (level == 0 || (level == 1 && jscan_path(j, 1) == JSCAN_ELEMENT));
	if (level != LEVEL_MEMBER &&
	    (level != LEVEL_PART || jscan_path(j, LEVEL_PART) != JSCAN_ELEMENT))
		return false;
	member = jscan_path(j, LEVEL_MEMBER);
	*is_picture = member == CHAT_ID_IMAGES || member == CHAT_ID_IMAGE;
	return (*is_picture || member == CHAT_ID_CONTENT) && jscan_path(j, 0) == CHAT_ID_MESSAGES;
}

static void scan_add_pictures(struct chat_scan *s, uint32_t n)
{
	s->bound.images += n;
	s->needs |= PTABLE_CAN_IMAGE_IN;
}

static bool scan_is_picture_name(unsigned id)
{
	return id == CHAT_ID_IMAGE || id == CHAT_ID_IMAGES || id == CHAT_ID_IMAGE_URL ||
	       id == CHAT_ID_IMAGE_EMBEDS;
}

/* A member of a part by the name of a picture, or an element of such a one. Of several names a provider reads one. */
static void scan_named_picture(struct chat_pictures *p, const struct jscan *j, enum json_type type)
{
	unsigned level = jscan_level(j);
	bool is_element = level == p->in + 1 && jscan_path(j, level) == JSCAN_ELEMENT;

	if ((level != p->in && !is_element) || !scan_is_picture_name(jscan_path(j, p->in)))
		return;
	p->run = (is_element ? p->run : 0) + (type == JSON_STRING || type == JSON_OBJECT);
	p->named = MAX_OF(p->named, p->run);
}

static void scan_pictures(struct chat_scan *s, const struct jscan *j, enum json_type type)
{
	struct chat_pictures *p = &s->pictures;
	bool is_picture;

	if (p->in) {
		scan_named_picture(p, j, type);
		return;
	}
	if ((type != JSON_OBJECT && type != JSON_STRING) || !scan_is_place(s, j, &is_picture))
		return;
	if (type == JSON_OBJECT)
		*p = (struct chat_pictures){
			.in = jscan_level(j) + 1, .before = s->bound.images, .is_one = is_picture};
	else if (is_picture)
		scan_add_pictures(s, 1);
}

/* The type of the part, or of one inside of it. Any of a picture has it in its name: image, image_embeds, image_file. */
static void scan_picture_type(struct chat_pictures *p, bool is_inner, struct slice type)
{
	if (type.n >= 5 && slice_find(type, SLICE_LIT("image")) >= 0)
		p->typed++;
	else if (!is_inner)
		p->is_other = true;
}

/* A part ends: each picture that it has counts once, by whatever it is one. */
static void scan_pictures_end(struct chat_scan *s, const struct jscan *j)
{
	struct chat_pictures *p = &s->pictures;
	uint32_t counted = s->bound.images - p->before, all = MAX_OF(p->typed, p->is_one);

	if (!p->in || jscan_level(j) + 1 != p->in)
		return;
	if (!p->is_other)
		all = MAX_OF(all, p->named);
	if (all > counted)
		scan_add_pictures(s, all - counted);
	p->in = 0;
}

static bool scan_value(void *arg, const struct jscan *j, enum json_type type)
{
	struct chat_scan *s = arg;
	unsigned leaf = jscan_path(j, jscan_level(j));

	if (leaf == JSCAN_ELEMENT)
		scan_element(s, j, type);
	else if (scan_is_strange(leaf) && jscan_path(j, 0) == CHAT_ID_MESSAGES)
		s->bound.text += j->key_bytes;
	scan_pictures(s, j, type);
	if (type == JSON_OBJECT || type == JSON_ARRAY)
		scan_container(s, j, type);
	if (scan_is_more(j, type))
		scan_by_reference(s);
	if (type != JSON_STRING)
		return false;
	s->text = scan_text_kind(j);
	s->small_n = 0;
	s->run = (struct bound_run){0};
	return s->text != CHAT_TEXT_NONE;
}

/* A whole text that names a file of the provider's: Qwen-Long reads it. */
#define FILE_TEXT "fileid://"

/* Whether the text stands in a message or part by a name that nobody knows. */
static bool scan_is_unknown(const struct jscan *j)
{
	unsigned level = jscan_level(j);

	if (jscan_path(j, 0) != CHAT_ID_MESSAGES || level < LEVEL_MEMBER)
		return false;
	while (level > LEVEL_MEMBER && jscan_path(j, level) == JSCAN_ELEMENT)
		level--;
	return scan_is_strange(jscan_path(j, LEVEL_MEMBER)) ||
	       (jscan_path(j, LEVEL_MEMBER) == CHAT_ID_CONTENT &&
		scan_is_strange(jscan_path(j, level)));
}

static bool scan_text(void *arg, const struct jscan *j, struct slice piece)
{
	struct chat_scan *s = arg;
	bool is_text = s->text == CHAT_TEXT_PLAIN || s->text == CHAT_TEXT_PREDICTED;
	size_t n =
		MIN_OF(piece.n, (is_text ? sizeof(FILE_TEXT) - 1 : sizeof(s->small)) - s->small_n);

	if (is_text)
		bound_push(&s->run, piece);
	memcpy(s->small + s->small_n, piece.p, n);
	s->small_n += (unsigned)n;
	return is_text || s->small_n < sizeof(s->small);
}

static bool scan_begins(const struct chat_scan *s, struct slice prefix)
{
	return slice_has_prefix(slice_of(s->small, s->small_n), prefix);
}

static bool scan_is_data(const struct chat_scan *s)
{
	return scan_begins(s, SLICE_LIT("data:"));
}

/* An address, of which by whatever name the provider may fetch what it is of. */
static bool scan_is_address(const struct chat_scan *s)
{
	struct slice text = slice_of(s->small, s->small_n);

	return slice_find(text, SLICE_LIT("://")) > 0 ||
	       slice_ieq(slice_sub(text, 0, 5), SLICE_LIT("data:"));
}

/* Of media types no letter case is another. */
static bool scan_is_type(const struct chat_scan *s, struct slice type)
{
	struct slice had = slice_sub(slice_of(s->small, s->small_n), 5, type.n);

	return scan_is_data(s) && slice_ieq(had, type);
}

/* What was seen of the base64: behind the head of a data URL, which may be longer than what was seen. */
static bool scan_payload(const struct chat_scan *s, struct slice *payload)
{
	struct slice mark = SLICE_LIT(";base64,");
	ptrdiff_t at;

	*payload = slice_of(s->small, s->small_n);
	if (!scan_is_data(s))
		return true;
	at = slice_find(*payload, mark);
	if (at < 0)
		return false;
	*payload = slice_sub(*payload, (size_t)at + mark.n, payload->n);
	return true;
}

/* Of these documents, the longer of the marks that they begin with, in base64. */
#define DOCUMENT_MARK 6

/* Whatever it is called, a PDF or what office programs write is a document; so is what does not show how it begins. */
static bool scan_is_document(const struct chat_scan *s)
{
	bool is_cut = s->small_n == sizeof(s->small);
	struct slice payload;

	return !scan_payload(s, &payload) || (is_cut && payload.n < DOCUMENT_MARK) ||
	       slice_has_prefix(payload, SLICE_LIT("JVBERi")) ||
	       slice_has_prefix(payload, SLICE_LIT("UEsDB"));
}

/* Below this may be the name of a file elsewhere. */
#define BASE64_LEAST 256

/* By its beginning, which of an address or an id has a mark that base64 lacks. */
static bool scan_is_base64(const struct chat_scan *s, size_t bytes)
{
	if (bytes <= BASE64_LEAST)
		return false;
	for (unsigned i = 0; i < s->small_n; i++) {
		if (!text_is_base64_digit(s->small[i]) && s->small[i] != '=')
			return false;
	}
	return true;
}

/* A text that is sent as a file has more tokens than a KiB of other media; a document has any number, for its pages are packed. */
static void scan_by_value(struct chat_scan *s, size_t bytes)
{
	bool is_text = (scan_is_type(s, SLICE_LIT("text/")) ||
			scan_is_type(s, SLICE_LIT("application/json"))) &&
		       !scan_is_document(s);
	bool is_sound = s->text == CHAT_TEXT_AUDIO &&
			(!scan_is_data(s) || scan_is_type(s, SLICE_LIT("audio/"))) &&
			!scan_is_document(s);

	if (!scan_is_data(s) && !scan_is_base64(s, bytes)) {
		scan_by_reference(s);
	} else if (is_text) {
		s->bound.text += bytes / 4 * 3;
	} else {
		s->bound.media_bytes += bytes / 4 * 3;
		s->bound.documents |= !is_sound;
	}
}

static void scan_media(struct chat_scan *s, const struct jscan *j, size_t bytes)
{
	if (scan_media_kind(jscan_path(j, LEVEL_IN_PART)) == s->text)
		s->part_seen |= 1u << s->text;
	switch (s->text) {
	case CHAT_TEXT_IMAGE:
		s->needs |= PTABLE_CAN_IMAGE_IN;
		s->bound.images++;
		if (!scan_is_data(s))
			scan_by_reference(s);
		else if (!scan_is_type(s, SLICE_LIT("image/")) || scan_is_document(s))
			scan_by_value(s, bytes);
		break;
	case CHAT_TEXT_AUDIO:
		s->needs |= PTABLE_CAN_AUDIO_IN;
		scan_by_value(s, bytes);
		break;
	case CHAT_TEXT_FILE:
		s->needs |= PTABLE_CAN_DOCUMENT_IN;
		if (scan_is_type(s, SLICE_LIT("image/")))
			scan_add_pictures(s, 1);
		scan_by_value(s, bytes);
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

/* Those that are a part of the 8 tokens a message. */
static bool scan_is_word(struct slice word)
{
	static const struct slice words[] = {
		{"user", 4},    {"assistant", 9},       {"function", 8},
		{"tool", 4},    {"system", 6},          {"developer", 9},
		{"text", 4},    {"custom", 6},          {"ephemeral", 9},
		{"content", 7}, {"reasoning.text", 14}, {"reasoning.summary", 17},
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (slice_eq(words[i], word))
			return true;
	return false;
}

/* What a part of this type must have, or it stands where the scan does not look. 0 of one that is no media. */
static unsigned scan_due(struct slice type)
{
	static const struct {
		struct slice type;
		enum chat_text kind;
	} media[] = {
		{{"image_url", 9}, CHAT_TEXT_IMAGE},     {{"input_image", 11}, CHAT_TEXT_IMAGE},
		{{"input_audio", 11}, CHAT_TEXT_AUDIO},  {{"audio_url", 9}, CHAT_TEXT_AUDIO},
		{{"file", 4}, CHAT_TEXT_FILE},           {{"input_file", 10}, CHAT_TEXT_FILE},
		{{"file_url", 8}, CHAT_TEXT_FILE},       {{"document_url", 12}, CHAT_TEXT_FILE},
		{{"video_url", 9}, CHAT_TEXT_REFERENCE},
	};

	for (size_t i = 0; i < ARRAY_LEN(media); i++)
		if (slice_eq(media[i].type, type))
			return 1u << media[i].kind;
	return 0;
}

static void scan_word_end(struct chat_scan *s, const struct jscan *j, size_t bytes)
{
	struct slice word = slice_of(s->small, s->small_n);
	bool is_whole = bytes == word.n, is_type = scan_is_part_type(j);
	unsigned level = jscan_level(j);

	if (scan_is_in_images(j) && scan_due(word) != 1u << CHAT_TEXT_IMAGE)
		scan_by_reference(s);
	if (is_type || (level == s->pictures.in && jscan_path(j, level) == CHAT_ID_TYPE))
		scan_picture_type(&s->pictures, level > s->pictures.in, word);
	if (is_type) {
		bool is_inner = level > LEVEL_IN_PART;

		s->part_typed |= !is_inner;
		s->part_due |= scan_due(word);
		if (is_whole && chat_field_takes(chat_field_part(CHAT_PART_PART_TYPE), word) &&
		    !(is_inner && scan_due(word)))
			return;
		scan_by_reference(s);
	}
	if (!is_whole || !scan_is_word(word))
		s->bound.text += bytes;
}

static void scan_end(void *arg, const struct jscan *j, enum json_type type, size_t bytes)
{
	struct chat_scan *s = arg;

	if (type == JSON_OBJECT)
		scan_pictures_end(s, j);
	if (type == JSON_NUMBER && jscan_path(j, 0) == CHAT_ID_MESSAGES)
		s->bound.text += bytes;
	else if (type == JSON_OBJECT && scan_is_part(j) &&
		 (!s->part_typed || (s->part_due & ~s->part_seen)))
		scan_by_reference(s);
	else if (type == JSON_OBJECT && scan_is_image(j) && !s->part_seen)
		scan_by_reference(s);
	if (type != JSON_STRING || s->text == CHAT_TEXT_NONE)
		return;
	if (s->text == CHAT_TEXT_PLAIN && jscan_path(j, 0) == CHAT_ID_MESSAGES &&
	    (scan_begins(s, SLICE_LIT(FILE_TEXT)) || (scan_is_unknown(j) && scan_is_address(s))))
		scan_by_reference(s);
	if (s->text == CHAT_TEXT_PREDICTED)
		s->bound.predicted += bound_of(&s->run);
	if (s->text == CHAT_TEXT_PREDICTED || s->text == CHAT_TEXT_PLAIN)
		s->bound.text += bound_of(&s->run);
	else if (s->text == CHAT_TEXT_WORD)
		scan_word_end(s, j, bytes);
	else
		scan_media(s, j, bytes);
	s->text = CHAT_TEXT_NONE;
}

static const struct jscan_events chat_events = {
	.value = scan_value,
	.text = scan_text,
	.end = scan_end,
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
