/* Writes what a benchmark needs for TLS into a folder: ca.pem, crt.pem and key.pem of 127.0.0.1. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"
#include "test_cert.h"

static bool write_file(const char *dir, const char *name, const char *text)
{
	char path[4096];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	ok = f && fputs(text, f) >= 0;
	return f && fclose(f) == 0 && ok;
}

int main(int argc, char **argv)
{
	static struct test_cert ca, leaf;
	bool ok;

	if (argc != 2) {
		fprintf(stderr, "usage: make_cert FOLDER\n");
		return 2;
	}
	umask(077);
	test_cert_make(&ca, "bench-ca", NULL, "20991231235959");
	test_cert_make(&leaf, "127.0.0.1", &ca, "20991231235959");
	ok = write_file(argv[1], "ca.pem", ca.crt_pem) &&
	     write_file(argv[1], "crt.pem", leaf.crt_pem) &&
	     write_file(argv[1], "key.pem", leaf.key_pem);
	test_cert_drop(&leaf);
	test_cert_drop(&ca);
	if (!ok)
		perror("make_cert");
	return ok ? 0 : 1;
}
