/* Intrusive doubly linked list. A node is in at most one list; list_init() makes a head or a lone node. Removing a node
 * that is in no list is allowed and does nothing. */
#ifndef AIGW_LIST_H
#define AIGW_LIST_H

#include "check.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
	return l->next == l;
}

/* True when the node is in a list (not for heads). */
static inline bool list_is_linked(const struct list *n)
{
	return n->next != n;
}

static inline void list_insert_after(struct list *at, struct list *n)
{
	n->next = at->next;
	n->prev = at;
	at->next->prev = n;
	at->next = n;
}

static inline void list_push_front(struct list *head, struct list *n)
{
	list_insert_after(head, n);
}

static inline void list_push_back(struct list *head, struct list *n)
{
	list_insert_after(head->prev, n);
}

static inline void list_remove(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

/* The first node, taken out; NULL when empty. */
static inline struct list *list_pop_front(struct list *head)
{
	struct list *n = head->next;

	if (n == head)
		return NULL;
	list_remove(n);
	return n;
}

/* Moves all nodes of `from` behind those of `to`. */
static inline void list_splice_back(struct list *to, struct list *from)
{
	if (list_is_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_entry(n, type, member) CONTAINER_OF(n, type, member)
#define list_each(it, head)         for (struct list *it = (head)->next; it != (head); it = it->next)
#define list_each_safe(it, head)                                                  \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head); \
	     it = it##_next, it##_next = it->next)

#endif
