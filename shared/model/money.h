/* Money: int64 nano-dollars for balances and charges (`_nusd`), int64 pico-dollars a token for
 * prices (`_pusd`; dollars per million tokens times 10^6). No floating point. Sums that could
 * overflow go through the checked functions; products live in 128 bits and are rounded up once, at
 * the end. */
#ifndef AIGW_MONEY_H
#define AIGW_MONEY_H

#include "errc.h"
#include "slice.h"

#define MONEY_NUSD_DOLLAR INT64_C(1000000000)
#define MONEY_PUSD_NUSD   1000
/* No amount is larger: two of them can be added without overflow. Four billion dollars. */
#define MONEY_NUSD_MAX INT64_C(4000000000000000000)
/* One dollar a token: the highest price that is accepted. */
#define MONEY_PUSD_MAX INT64_C(1000000000000)

__extension__ typedef __int128 money_wide; /* the only way to name the type; see style.md 2 */

/* False, and *out unchanged, when the result lies outside of +-MONEY_NUSD_MAX. */
bool money_add(int64_t a, int64_t b, int64_t *out);
bool money_sub(int64_t a, int64_t b, int64_t *out);

/* Pico-dollars >= 0 to nano-dollars, rounded up; MONEY_NUSD_MAX when it does not fit. */
int64_t money_from_pusd(money_wide pusd);

/* Dollars as plain decimal text ("4.99998"), at least `min_frac` places, at most 9. `out` holds
 * MONEY_TEXT_MAX bytes. */
#define MONEY_TEXT_MAX 48
size_t money_print(int64_t nusd, int min_frac, char *out);
/* Reads "5", "0.000015", "-3": at most 9 places, exactly. ERRC_SYNTAX, ERRC_RANGE. */
MUSTCHECK
enum errc money_parse(struct slice text, int64_t *nusd);

#endif
