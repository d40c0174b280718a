/* Cheap reading of a small complete JSON text (an SSE data chunk, a usage object) without a tree: iterators that hand out
 * each value as the slice of its text. They never read past the end and report what is malformed where they meet it. Of a
 * value that is skipped over, brackets, commas, colons and UTF-8 are in order, but numbers and escapes are only glanced at:
 * use jscan or json_parse where all of a text must be valid. Slices point into the text.
 *
 *	struct jtext it = jtext_obj(chunk);
 *	while ((r = jtext_obj_next(&it, &key, &val)) > 0)
 *		if (jtext_key_is(key, "usage"))
 *			…
 */
#ifndef AIGW_JTEXT_H
#define AIGW_JTEXT_H

#include "buf.h"
#include "json_type.h"

struct jtext {
	const char *p, *end;
	enum errc err;
	char close; /* what ends the container */
	bool begun, done;
	bool inner; /* the text goes on behind the container */
};

/* The kind that the first byte announces; JSON_NONE for anything else. Leading white space is
 * skipped. */
enum json_type jtext_type(struct slice value);

/* Start over an object or array; on other text the first next() reports it. */
struct jtext jtext_obj(struct slice object);
struct jtext jtext_arr(struct slice array);

/* 1 = the next member or element, 0 = the container was closed and only white space follows, <0 =
 * -ERRC_SYNTAX or -ERRC_DEPTH, again and again. *key is what stands between the quotes, still
 * escaped; *value has no white space around it. */
MUSTCHECK
int jtext_obj_next(struct jtext *it, struct slice *key, struct slice *value);
MUSTCHECK
int jtext_arr_next(struct jtext *it, struct slice *value);

/* The same in halves, so that a container inside is walked without being passed over before: the key
 * alone, or that an element follows; then either jtext_value(), or jtext_enter_obj() or _arr(), a walk
 * to its end and jtext_leave(). */
MUSTCHECK
int jtext_obj_key(struct jtext *it, struct slice *key);
MUSTCHECK
int jtext_arr_more(struct jtext *it);
/* 1 or an error. */
MUSTCHECK
int jtext_value(struct jtext *it, struct slice *value);
/* The kind of the value that stands next. */
enum json_type jtext_peek(const struct jtext *it);
struct jtext jtext_enter_obj(const struct jtext *it);
struct jtext jtext_enter_arr(const struct jtext *it);
/* `inner` has come to its end. */
void jtext_leave(struct jtext *it, const struct jtext *inner);

/* The first member of that name. False when there is none or the text is malformed before it. */
bool jtext_member(struct slice object, const char *key, struct slice *value);
/* The same along a path of names, ended by NULL. */
bool jtext_path(struct slice object, const char *const *keys, struct slice *value);

/* Compares a key as found with a plain name, escapes resolved. */
bool jtext_key_is_escaped(struct slice key, const char *name);
static inline bool jtext_key_is(struct slice key, const char *name)
{
	/* With an escape in it, a key is longer than what it stands for. */
	return slice_is(key, name) || (key.n > strlen(name) && jtext_key_is_escaped(key, name));
}
/* The same with ASCII case ignored, as some readers of JSON do. */
bool jtext_key_like(struct slice key, const char *name);
/* As jtext_member(), for a whole number (1.0 and 1e3 are). */
bool jtext_i64(struct slice value, int64_t *out);
bool jtext_is_true(struct slice value);
bool jtext_is_null(struct slice value);

/* A string value without quotes, as it stands in the text; false when it is no string or contains
 * an escape. */
bool jtext_plain(struct slice value, struct slice *out);
/* The string value, unescaped, appended to out; lone surrogates become U+FFFD. ERRC_INVAL when
 * value is no string, ERRC_SYNTAX. */
MUSTCHECK
enum errc jtext_str(struct slice value, struct buf *out);
/* Whether no half of a surrogate pair stands alone in a string value, or key: it says the same as its unescaped text. */
bool jtext_is_whole(struct slice value);
/* The same as jtext_str() for the inside of a string (a key). */
MUSTCHECK
enum errc jtext_unescape(struct slice inside, struct buf *out);
/* How many bytes jtext_unescape() would append. What is no escape there counts as one byte and is no error here. */
size_t jtext_unescaped_len(struct slice inside);

#endif
