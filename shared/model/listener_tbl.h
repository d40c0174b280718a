/* One item of `listen`. Included with FIELD defined; see provider_tbl.h. */
FIELD(TEXT, address, "address", 1, 128, "", "",
      "Literal address and port, \"127.0.0.1:8080\" or \"[::]:8080\".")
FIELD(PATH, certificate, "tls.certificate", 1, 4000, "", "",
      "PEM file with the certificate and its chain; with it the listener speaks TLS.")
FIELD(PATH, key, "tls.key", 1, 4000, "", "", "PEM file with its private key, which only its owner and group may read.")
FIELD(NODE, address, "trusted_proxies", 0, 0, "", "a list of address ranges",
      "Address ranges of proxies whose x-forwarded-for counts, at most 64; limits for each address "
      "do not apply to them. Its items, of several such lines as one list, are read from the end on, "
      "as long as they are trusted proxies too: the first that is none is the client, without one "
      "the leftmost item; one that is no address, with or without a port, leaves the client unknown, "
      "whom no range of a key lets in and for whom the log has the proxy's address.")
