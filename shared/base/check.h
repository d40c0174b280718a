/* Assertions and attributes. require() guards what would corrupt: always on, logs and aborts. check_fails() guards what
 * we can survive: it reports once a place and is true when `x` is false. Plain assert is banned. */
#ifndef AIGW_CHECK_H
#define AIGW_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUSTCHECK                       __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a)               __attribute__((format(printf, f, a)))
#define NORETURN                        __attribute__((noreturn))
#define LIKELY(x)                       __builtin_expect(!!(x), 1)
#define UNLIKELY(x)                     __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define MIN_OF(a, b)                    ((a) < (b) ? (a) : (b))
#define MAX_OF(a, b)                    ((a) > (b) ? (a) : (b))

NORETURN void check_abort(const char *expr, const char *file, int line);
bool check_report(const char *expr, const char *file, int line);

#define require(x)     (LIKELY(x) ? (void)0 : check_abort(#x, __FILE__, __LINE__))
#define check_fails(x) (LIKELY(x) ? false : check_report(#x, __FILE__, __LINE__))

/* Long-lived structs begin with `unsigned magic`; checked wherever a void pointer becomes a type. */
#define require_magic(p, m) require((p) != NULL && (p)->magic == (m))

#endif
