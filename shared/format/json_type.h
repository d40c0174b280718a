/* The kinds of a JSON value, shared by the tree (json.h), the scanner (jscan.h) and the text
 * iterators (jtext.h). */
#ifndef AIGW_JSON_TYPE_H
#define AIGW_JSON_TYPE_H

enum json_type {
	JSON_NONE,
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
};

/* A static word: "string", "array" …; "nothing" for JSON_NONE. */
const char *json_type_name(enum json_type t);

#endif
