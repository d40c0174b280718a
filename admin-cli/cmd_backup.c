#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "ask.h"
#include "bfiles.h"
#include "clock.h"
#include "files.h"
#include "json_out.h"
#include "peppers.h"
#include "secret.h"
#include "text.h"
#include "view.h"

#define MANIFEST_MAX 65536

struct backup {
	struct bfiles files;
	int data;
	struct digest digest;
	uint64_t bytes;
	char ledger_id[2 * 16 + 1];
	int64_t records, missing;
	char missing_why[64]; /* empty: nothing is missing */
	bool begun, checked;
	struct ask_answer told; /* what is shown: the backup, and what is wrong with it */
};

static enum errc begin(struct backup *b, const struct ask_row *r)
{
	struct slice id = ask_str(r, "ledger_id");
	struct slice hex = ask_str(r, "pepper"), why = ask_str(r, "missing_why");
	uint8_t pepper[PEPPERS_BYTES_MAX];
	enum errc e = ERRC_OK;

	if (b->begun || id.n != sizeof(b->ledger_id) - 1 || hex.n / 2 > sizeof(pepper) ||
	    !text_unhex(hex, pepper, hex.n / 2))
		return ERRC_PROTOCOL;
	b->begun = true;
	memcpy(b->ledger_id, id.p, id.n);
	b->records = ask_i64(r, "records");
	b->missing = ask_i64(r, "missing_records");
	snprintf(b->missing_why, sizeof(b->missing_why), SLICE_FMT, SLICE_ARG(why));
	digest_init(&b->digest);
	if (mkdirat(b->files.dir, "ledger", 0700) != 0)
		e = errc_from_errno(errno);
	if (!e)
		e = bfiles_put(&b->files, BFILES_PEPPER, slice_of(pepper, hex.n / 2));
	secret_wipe(pepper, sizeof(pepper));
	return e ? e : bfiles_create(&b->files, BFILES_DATA, &b->data);
}

static enum errc take(void *arg, const struct ask_row *r)
{
	struct slice data = ask_str(r, "data");
	struct backup *b = arg;

	if (slice_is(r->kind, "backup"))
		return begin(b, r);
	if (!b->begun)
		return ERRC_PROTOCOL;
	if (slice_is(r->kind, "checked")) {
		b->checked = true;
		return ERRC_OK;
	}
	if (slice_is(r->kind, "finding"))
		return ask_add(&b->told, "finding", r->f, r->n);
	digest_add(&b->digest, data);
	b->bytes += data.n;
	return files_write(b->data, data);
}

/* Without the list nobody has looked. */
static void put_findings(struct json_out *o, const struct ask_answer *told)
{
	json_out_key(o, "findings");
	json_out_arr(o);
	for (size_t i = 0; i < told->n; i++) {
		const struct ask_row *r = &told->rows[i];

		json_out_obj(o);
		json_out_kstr(o, "what", ask_str(r, "what"));
		if (ask_i64(r, "at") > 0)
			json_out_ki64(o, "at", ask_i64(r, "at"));
		else
			json_out_knull(o, "at");
		json_out_kstr(o, "text", ask_str(r, "text"));
		json_out_obj_end(o);
	}
	json_out_arr_end(o);
}

static enum errc put_manifest(struct backup *b)
{
	uint8_t hash[DIGEST_SHA256];
	char hex[2 * DIGEST_SHA256 + 1], made[CLOCK_TEXT_MAX];
	struct json_out o;
	struct buf text;
	enum errc e;

	digest_final(&b->digest, hash);
	text_hex(hash, sizeof(hash), hex);
	clock_format_s(clock_wall_s(), made);
	buf_init(&text, MANIFEST_MAX);
	json_out_init(&o, &text);
	json_out_obj(&o);
	json_out_ki64(&o, "backup", 1);
	json_out_kstrz(&o, "ledger_id", b->ledger_id);
	json_out_kstrz(&o, "made_at", made);
	json_out_ki64(&o, "records", b->records);
	json_out_ki64(&o, "bytes", (int64_t)b->bytes);
	json_out_kstrz(&o, "sha256", hex);
	json_out_ki64(&o, "missing_records", b->missing);
	json_out_kstrz(&o, "missing_why", b->missing_why[0] ? b->missing_why : NULL);
	if (b->checked)
		put_findings(&o, &b->told);
	json_out_obj_end(&o);
	e = json_out_end(&o);
	if (!e)
		e = buf_addc(&text, '\n');
	if (!e)
		e = bfiles_put(&b->files, BFILES_MANIFEST, buf_slice(&text));
	buf_fini(&text);
	return e;
}

static enum errc finish(struct backup *b, const char *dir)
{
	char ledger[PATH_MAX + 8];
	enum errc e = bfiles_close(&b->data, b->begun ? ERRC_OK : ERRC_PROTOCOL);

	if (!e)
		e = put_manifest(b);
	snprintf(ledger, sizeof(ledger), "%s/ledger", b->files.path);
	if (!e)
		e = files_sync_folder(ledger);
	return e ? e : bfiles_finish(&b->files, dir);
}

static void tell(struct ctl *c, struct backup *b, const char *dir)
{
	const struct control_field f[] = {
		CONTROL_S("folder", slice_str(dir)),
		CONTROL_S("ledger_id", slice_str(b->ledger_id)), CONTROL_I("records", b->records),
		CONTROL_I("bytes", b->bytes), CONTROL_I("missing_records", b->missing)};
	enum errc e = ask_add(&b->told, "backup", f, ARRAY_LEN(f));

	if (e)
		ctl_fail(c, CONTROL_REFUSED, "failed", "%s", errc_text(e));
	else
		view_show(c, CONTROL_DO_LEDGER_BACKUP, &b->told);
}

/* It is a good one of what the ledger has. */
static enum control_status tell_missing(struct ctl *c, const struct backup *b)
{
	char many[32] = "an unknown number of";

	if (b->missing >= 0)
		snprintf(many, sizeof(many), "%lld", (long long)b->missing);
	return ctl_fail(
		c, CONTROL_REFUSED, "incomplete",
		"the ledger cannot be written (%s): %s records that wait for it are not in the "
		"backup; make another when it can be",
		b->missing_why, many);
}

/* It is as good as the ledger. */
static enum control_status tell_findings(struct ctl *c, const struct backup *b)
{
	const struct ask_row *first = ask_row_of(&b->told, "finding");
	int64_t at = ask_i64(first, "at");
	char where[32] = "";

	if (at > 0)
		snprintf(where, sizeof(where), " %lld", (long long)at);
	return ctl_fail(
		c, CONTROL_FINDINGS, "findings",
		"the ledger is not in order, and the backup is made of it as it is: " SLICE_FMT
		"%s: " SLICE_FMT,
		SLICE_ARG(ask_str(first, "what")), where, SLICE_ARG(ask_str(first, "text")));
}

enum control_status cmd_ledger_backup(struct ctl *c)
{
	const char *dir = parse_local_str(&c->p, "dir").p; /* argv's: a NUL stands behind it */
	struct backup b = {.data = -1};
	enum control_status status;
	struct ask_answer a;
	struct stat st;
	enum errc e;

	if (strcmp(dir, "-") == 0)
		return ctl_fail(
			c, CONTROL_USAGE, "invalid",
			"a backup is a folder, it has no place on standard output; ./- is one "
			"of that name");
	if (lstat(dir, &st) == 0)
		return ctl_fail(c, CONTROL_REFUSED, "exists",
				"%s exists; a backup never replaces anything", dir);
	e = bfiles_begin(&b.files, dir);
	if (e) {
		bfiles_abort(&b.files);
		return ctl_fail(c, CONTROL_REFUSED, "failed", "%s: %s", dir,
				e == ERRC_NOTFOUND ? "the folder to make it in is not there"
						   : errc_text(e));
	}
	ask_init(&b.told);
	status = ask_command_each(c, take, &b, &a);
	e = status == CONTROL_DONE ? finish(&b, dir) : ERRC_CANCELED;
	(void)!bfiles_close(&b.data, ERRC_CANCELED);
	bfiles_abort(&b.files);
	ask_fini(&a);
	if (!e)
		tell(c, &b, dir);
	if (!e && ask_row_of(&b.told, "finding"))
		status = tell_findings(c, &b);
	else if (!e && b.missing_why[0])
		status = tell_missing(c, &b);
	if (e && status == CONTROL_DONE)
		status = ctl_fail(c, CONTROL_REFUSED, "failed", "%s: %s", dir, errc_text(e));
	ask_fini(&b.told);
	return status;
}
