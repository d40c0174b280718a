/* What of ours is made of the library's types: shared by tls.c, tls_conf.c and tls_engine.c; for nobody else. */
#ifndef AIGW_TLS_LIB_H
#define AIGW_TLS_LIB_H

#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/x509_crt.h>

#include "tls_priv.h"

struct tls_tickets {
	struct tls *tls;
	mbedtls_ssl_ticket_context ctx; /* locks itself */
};

struct tls_client {
	unsigned magic, refs;
	struct tls *tls;
	mbedtls_ssl_config conf;
	mbedtls_x509_crt roots;
};

struct tls_server {
	unsigned magic, refs;
	struct tls *tls;
	mbedtls_ssl_config conf;
	mbedtls_x509_crt chain;
	mbedtls_pk_context key;
};

struct tls_sessions {
	mbedtls_ssl_session session;
	bool is_good;
	unsigned cleared; /* how often: what was connected before keeps no session here */
};

#endif
