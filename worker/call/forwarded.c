#include "forwarded.h"

#define FIELD "x-forwarded-for"

/* The items of all fields as one list, read from its end. */
struct items {
	const struct http1_head *head;
	size_t fields_left;
	struct slice rest; /* of the field that is read */
};

/* Empty items are none. */
static bool items_prev(struct items *l, struct slice *item)
{
	for (;;) {
		if (l->rest.n) {
			const char *comma = memrchr(l->rest.p, ',', l->rest.n);
			size_t from = comma ? (size_t)(comma - l->rest.p) + 1 : 0;

			*item = slice_trim(slice_sub(l->rest, from, l->rest.n));
			l->rest.n = comma ? from - 1 : 0;
			if (item->n)
				return true;
		} else if (l->fields_left) {
			const struct http1_field *f = &l->head->fields[--l->fields_left];

			if (slice_ieq(f->name, SLICE_LIT(FIELD)))
				l->rest = f->value;
		} else {
			return false;
		}
	}
}

bool forwarded_client(const struct http1_head *head, const struct listen_peer *peer, uint8_t out[16])
{
	const struct listen_proxies *p = peer->proxies;
	struct items l = {.head = head};
	struct slice item;
	uint8_t told[16];

	memcpy(out, peer->addr, sizeof(told));
	if (!p || !http1_find(head, FIELD))
		return true;
	l.fields_left = head->field_count;
	while (items_prev(&l, &item)) {
		if (!ipnet_hop(item, told))
			return false;
		memcpy(out, told, sizeof(told));
		if (!ipnet_any_has(p->nets, p->n, told))
			return true;
	}
	return true;
}
