#include "http1_put.h"

#include "text.h"

/* What a byte may be part of, by RFC 9110. */
enum { TOKEN = 1, VISIBLE = 2, VALUE = 4 };

#define WORD (TOKEN | VISIBLE | VALUE)
#define MARK (VISIBLE | VALUE)

static const uint8_t classes[256] = {
	['\t'] = VALUE,        [' '] = VALUE,        ['!'] = WORD,         ['"'] = MARK,
	['#' ... '\''] = WORD, ['(' ... ')'] = MARK, ['*' ... '+'] = WORD, [','] = MARK,
	['-' ... '.'] = WORD,  ['/'] = MARK,         ['0' ... '9'] = WORD, [':' ... '@'] = MARK,
	['A' ... 'Z'] = WORD,  ['[' ... ']'] = MARK, ['^' ... 'z'] = WORD, ['{'] = MARK,
	['|'] = WORD,          ['}'] = MARK,         ['~'] = WORD,
};

static const char *const reasons[] = {
	[100] = "Continue",
	[200] = "OK",
	[201] = "Created",
	[202] = "Accepted",
	[204] = "No Content",
	[206] = "Partial Content",
	[301] = "Moved Permanently",
	[302] = "Found",
	[303] = "See Other",
	[304] = "Not Modified",
	[307] = "Temporary Redirect",
	[308] = "Permanent Redirect",
	[400] = "Bad Request",
	[401] = "Unauthorized",
	[402] = "Payment Required",
	[403] = "Forbidden",
	[404] = "Not Found",
	[405] = "Method Not Allowed",
	[406] = "Not Acceptable",
	[408] = "Request Timeout",
	[409] = "Conflict",
	[410] = "Gone",
	[411] = "Length Required",
	[412] = "Precondition Failed",
	[413] = "Content Too Large",
	[414] = "URI Too Long",
	[415] = "Unsupported Media Type",
	[416] = "Range Not Satisfiable",
	[417] = "Expectation Failed",
	[422] = "Unprocessable Content",
	[424] = "Failed Dependency",
	[425] = "Too Early",
	[426] = "Upgrade Required",
	[429] = "Too Many Requests",
	[431] = "Request Header Fields Too Large",
	[451] = "Unavailable For Legal Reasons",
	[500] = "Internal Server Error",
	[501] = "Not Implemented",
	[502] = "Bad Gateway",
	[503] = "Service Unavailable",
	[504] = "Gateway Timeout",
	[505] = "HTTP Version Not Supported",
	[529] = "Overloaded",
};

static bool is_all(struct slice s, uint8_t class)
{
	uint8_t all = class;

	for (size_t i = 0; i < s.n; i++)
		all &= classes[(unsigned char)s.p[i]];
	return all == class;
}

const char *http1_put_reason(int status)
{
	const char *text = status >= 0 && (size_t)status < ARRAY_LEN(reasons) ? reasons[status]
									      : NULL;

	return text ? text : "Unknown";
}

/* Writes five parts at once or nothing. */
static enum errc put_parts(struct buf *b, const struct slice parts[5])
{
	size_t n = 0;
	char *at;
	enum errc rc;

	for (int i = 0; i < 5; i++)
		if (__builtin_add_overflow(n, parts[i].n, &n))
			return ERRC_LIMIT;
	rc = buf_reserve(b, n, &at);
	if (rc)
		return rc;
	for (int i = 0; i < 5; i++) {
		if (parts[i].n)
			memcpy(at, parts[i].p, parts[i].n);
		at += parts[i].n;
	}
	buf_commit(b, n);
	return ERRC_OK;
}

enum errc http1_put_request(struct buf *b, struct slice method, struct slice target)
{
	const struct slice parts[] = {method, SLICE_LIT(" "), target, SLICE_LIT(" HTTP/1.1"),
				      HTTP1_CRLF};

	if (!method.n || !target.n || !is_all(method, TOKEN) || !is_all(target, VISIBLE))
		return ERRC_INVAL;
	return put_parts(b, parts);
}

enum errc http1_put_status(struct buf *b, int status)
{
	char digits[3] = {0};
	const struct slice parts[] = {SLICE_LIT("HTTP/1.1 "), slice_of(digits, 3), SLICE_LIT(" "),
				      slice_str(http1_put_reason(status)), HTTP1_CRLF};

	if (status < 100 || status > 999)
		return ERRC_INVAL;
	digits[0] = (char)('0' + status / 100);
	digits[1] = (char)('0' + status / 10 % 10);
	digits[2] = (char)('0' + status % 10);
	return put_parts(b, parts);
}

enum errc http1_put_field(struct buf *b, struct slice name, struct slice value)
{
	size_t n;
	char *at;
	enum errc rc;

	if (!name.n || !is_all(name, TOKEN) || !is_all(value, VALUE))
		return ERRC_INVAL;
	if (__builtin_add_overflow(name.n + 4, value.n, &n))
		return ERRC_LIMIT;
	rc = buf_reserve(b, n, &at);
	if (rc)
		return rc;
	memcpy(at, name.p, name.n);
	memcpy(at + name.n, ": ", 2);
	if (value.n)
		memcpy(at + name.n + 2, value.p, value.n);
	memcpy(at + n - 2, "\r\n", 2);
	buf_commit(b, n);
	return ERRC_OK;
}

enum errc http1_put_header_i64(struct buf *b, const char *name, int64_t value)
{
	char digits[TEXT_DECIMAL_MAX];
	size_t n = text_decimal_print(value, 0, 0, digits);

	return http1_put_field(b, slice_str(name), slice_of(digits, n));
}

enum errc http1_put_end(struct buf *b)
{
	return buf_adds(b, HTTP1_CRLF);
}

struct slice http1_chunk_head(size_t n, char out[HTTP1_CHUNK_HEAD])
{
	size_t at = HTTP1_CHUNK_HEAD - 2;

	memcpy(out + at, "\r\n", 2);
	do
		out[--at] = "0123456789abcdef"[n % 16];
	while (n /= 16);
	return slice_of(out + at, HTTP1_CHUNK_HEAD - at);
}

enum errc http1_put_chunk_head(struct buf *b, size_t n)
{
	char line[HTTP1_CHUNK_HEAD];
	const struct slice parts[] = {http1_chunk_head(n, line), SLICE_NONE, SLICE_NONE, SLICE_NONE,
				      SLICE_NONE};

	return n ? put_parts(b, parts) : ERRC_INVAL;
}

enum errc http1_put_chunk(struct buf *b, struct slice data)
{
	char line[HTTP1_CHUNK_HEAD];
	const struct slice parts[] = {http1_chunk_head(data.n, line), data, HTTP1_CRLF, SLICE_NONE,
				      SLICE_NONE};

	return data.n ? put_parts(b, parts) : ERRC_OK;
}
