/* Every fixed ceiling of the program in one place, with its reason. Configurable limits have their defaults in
 * settings_tbl.h; these are the ones that no setting moves. Bytes unless the name says otherwise. */
#ifndef AIGW_CAPS_H
#define AIGW_CAPS_H

/* Header lines a message: above real clients (curl 20, browsers 40) */
#define LIMIT_HEADERS_COUNT 200
/* A provider's response head */
#define LIMIT_HEAD_UP (64 * 1024)
/* Header lines that the configuration adds for a provider; as much again for its key */
#define LIMIT_HEADERS_UP (8 * 1024)
/* Contract A7 */
#define LIMIT_JSON_DEPTH 128
/* Top-level members of a request body: clients send up to 40 */
#define LIMIT_JSON_MEMBERS 512
/* One event of a stream that we must understand */
#define LIMIT_SSE_FRAME (16 * 1024 * 1024)
/* Bytes of a model name in a request */
#define LIMIT_MODEL_NAME 256
/* Offers and fallbacks tried for one request */
#define LIMIT_CANDIDATES 16
/* Price rows of a hold: some candidates have several, many share theirs. */
#define LIMIT_HOLD_PRICES 32
/* Attempts recorded for one request */
#define LIMIT_ATTEMPTS 8
/* Everything one request builds, bodies not counted */
#define LIMIT_ARENA_CALL (8 * 1024 * 1024)
/* One message between our processes (the provider table is the largest) */
#define LIMIT_FRAME_IPC (64 * 1024 * 1024)
/* One message from aigwctl */
#define LIMIT_FRAME_CONTROL (1024 * 1024)
/* x-request-id of a client, contract A2 */
#define LIMIT_CLIENT_ID 128
/* Contract A4: lifecycle frames held back until commit */
#define LIMIT_HOLDBACK_FRAMES 64
#define LIMIT_HOLDBACK_BYTES  (256 * 1024)
/* Longest silence before a stream gets a sign of life */
#define LIMIT_KEEPALIVE_MS INT64_C(3600000)
/* Operations a live-store write transaction (design 3.4) */
#define LIMIT_TXN_OPS 8

#endif
