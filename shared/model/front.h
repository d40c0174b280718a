/* Names of the routes that ask a model (front_tbl.h). */
#ifndef AIGW_FRONT_H
#define AIGW_FRONT_H

/* `op`: a row of the table, as records have it. "unknown" where there is none. Static. */
const char *front_name(unsigned op);

#endif
