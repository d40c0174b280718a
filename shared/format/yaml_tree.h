/* YAML text to a tree of nodes, over libyaml. All scalars are text: what a value means is decided by the row that reads it.
 * Every node knows file, line and column. Mapping order is kept, duplicate keys are told. Anchors, aliases, tags and a
 * second document are refused. The tree can be changed (merging, overlays); all its memory is the arena's.
 * This is the header of yaml.c: the name yaml.h is libyaml's. */
#ifndef AIGW_YAML_TREE_H
#define AIGW_YAML_TREE_H

#include "arena.h"
#include "buf.h"

#define YAML_DEPTH_MAX 32
#define YAML_BYTES_MAX (16 * 1024 * 1024)
#define YAML_NODES_MAX 2000000

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_pos {
	const char *file;      /* valid as long as the arena; NULL: made by the program */
	unsigned line, column; /* from 1; column counts characters */
};

struct yaml_index;

struct yaml_node {
	enum yaml_kind kind;
	bool is_null;  /* a plain scalar that is empty or `~` */
	bool is_plain; /* a scalar written without quotes */
	struct yaml_pos pos, key_pos;
	struct slice key;               /* when it stands in a mapping; NUL-terminated */
	struct slice text;              /* of a scalar; NUL-terminated */
	struct yaml_node *next;         /* sibling */
	struct yaml_node *first, *last; /* children of a list or mapping */
	size_t n;                       /* children */
	struct yaml_index *index;       /* private */
};

/* Told of each key that a mapping has a second time; the tree keeps the first. */
struct yaml_twice {
	void (*fn)(void *arg, const struct yaml_node *first, struct yaml_pos second);
	void *arg;
};

/* Parses all of `text`; `file` names it in positions and must outlive the arena's tree. On ERRC_SYNTAX, ERRC_DEPTH and
 * ERRC_LIMIT the reason, without position, is in `message` and its place in *where. An empty text gives an empty
 * mapping; a byte order mark before it is passed over. */
MUSTCHECK enum errc yaml_parse(struct arena *a, const char *file, struct slice text,
			       const struct yaml_twice *twice, struct yaml_node **out,
			       struct buf *message, struct yaml_pos *where);

/* The child of a mapping, NULL when there is none. Constant time. */
struct yaml_node *yaml_get(const struct yaml_node *map, struct slice key);
#define yaml_getz(map, key) yaml_get((map), slice_str(key))

/* New nodes; NULL without memory. Texts are copied into the arena. */
MUSTCHECK struct yaml_node *yaml_new(struct arena *a, enum yaml_kind kind, struct yaml_pos pos);
MUSTCHECK struct yaml_node *yaml_new_text(struct arena *a, struct slice text, struct yaml_pos pos);
/* Appends to a list. The node must not stand elsewhere. */
void yaml_append(struct yaml_node *list, struct yaml_node *child);
/* Adds to a mapping under `key` (borrowed for the tree's life), or takes the place of the child of that name. */
MUSTCHECK enum errc yaml_put(struct arena *a, struct yaml_node *map, struct slice key,
			     struct yaml_pos key_pos, struct yaml_node *child);
/* Takes the child of that name out of a mapping; nothing when there is none. */
void yaml_remove(struct yaml_node *map, struct slice key);
/* A deep copy, whose texts are shared. */
MUSTCHECK struct yaml_node *yaml_copy(struct arena *a, const struct yaml_node *n);

/* Writes a scalar so that it reads back as the same text: plain where that is safe, else in double quotes. */
MUSTCHECK enum errc yaml_print_text(struct buf *out, struct slice text);

/* Version of the library that runs here, "0.2.5"; static. */
const char *yaml_library(void);

#endif
