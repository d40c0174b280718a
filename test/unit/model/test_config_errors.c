/* What is wrong in a configuration, and what the operator is told: every message with its place, and all at once. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct bad {
	const char *name, *text, *messages;
};

#define X32  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X128 X32 X32 X32 X32
#define N4   "10.0.0.0/8, 10.1.0.0/16, fd00::/8, 1.2.3.4, "
#define N16  N4 N4 N4 N4

static const struct bad all[] = {
	{"empty", "", "aigw.yaml:1:1: the file is empty: it sets nothing\n"},
	{"empty but for a comment", "# to come\n---\n",
	 "aigw.yaml:1:1: the file is empty: it sets nothing\n"},
	{"unknown key with a hint", "regon: x\n",
	 "aigw.yaml:1:1: unknown key `regon` (did you mean `region`?)\n"},
	{"unknown key without a hint", "zzzzzzzzzzzz: 1\n",
	 "aigw.yaml:1:1: unknown key `zzzzzzzzzzzz`\n"},
	{"unknown key in a group", "limits: {bodi: 1}\n",
	 "aigw.yaml:1:10: unknown key `limits.bodi` (did you mean `body`?)\n"},
	{"text instead of a number", "workers: many\n",
	 "aigw.yaml:1:10: `workers` must be auto or a whole number from 1 to 256, not `many`\n"},
	{"number out of range", "workers: 1000\n",
	 "aigw.yaml:1:10: `workers` must be auto or a whole number from 1 to 256, not `1000`\n"},
	{"unit missing in a size", "limits: {body: lots}\n",
	 "aigw.yaml:1:16: `limits.body` must be a size from 1KiB to 1GiB, not `lots`\n"},
	{"size out of range", "limits: {body: 1}\n",
	 "aigw.yaml:1:16: `limits.body` must be a size from 1KiB to 1GiB, not `1`\n"},
	{"time span", "timeouts: {idle: soon}\n",
	 "aigw.yaml:1:18: `timeouts.idle` must be a time span from 1s to 1h, such as 15s, not "
	 "`soon`\n"},
	{"time span out of range", "timeouts: {idle: 1ms}\n",
	 "aigw.yaml:1:18: `timeouts.idle` must be a time span from 1s to 1h, such as 15s, not "
	 "`1ms`\n"},
	{"choice", "durability: always\n",
	 "aigw.yaml:1:13: `durability` must be one of settle, group, async, not `always`\n"},
	{"on or off", "log: {access: maybe}\n",
	 "aigw.yaml:1:15: `log.access` must be on or off, not `maybe`\n"},
	{"list instead of a text", "region: [a]\n",
	 "aigw.yaml:1:9: `region` must be a text of at most 64 bytes, not a list\n"},
	{"mapping instead of a text", "region: {a: b}\n",
	 "aigw.yaml:1:9: `region` must be a text of at most 64 bytes, not a mapping\n"},
	{"text instead of a mapping", "log: stderr\n",
	 "aigw.yaml:1:6: `log` must be a mapping, not a text\n"},
	{"empty value", "region:\n",
	 "aigw.yaml:1:8: `region` must be a text of at most 64 bytes, not empty\n"},
	{"removal outside of an overlay", "workers: ~\n",
	 "aigw.yaml:1:10: `workers` must be auto or a whole number from 1 to 256; `~` removes, and "
	 "only in an overlay\n"},
	{"share", "uncapped_share: 3/2\n",
	 "aigw.yaml:1:17: `uncapped_share` must be a share from 0.000001 to 1, not `3/2`\n"},
	{"hours of a price without a range, which would count all day",
	 "providers: {p: {base_url: \"http://h\"}}\n"
	 "models: {a: {price: [{when: {hours: [], min_prompt_tokens: 9}, input: 1, output: 2}, "
	 "{when: "
	 "{hours: , from: 2026-12-01}, input: 3, output: 4}, {input: 5, output: 6}], offers: {p/a: "
	 "{}}}}\n",
	 "aigw.yaml:2:37: `models.a.price[0].when.hours` is empty: give ranges of the UTC day such "
	 "as "
	 "\"16:30-00:30\", or leave it out for the whole day\n"
	 "aigw.yaml:2:101: `models.a.price[1].when.hours` is empty: give ranges of the UTC day "
	 "such as "
	 "\"16:30-00:30\", or leave it out for the whole day\n"},
	{"a setting by its dotted name, which no mapping would hold",
	 "limits: {body: 1MiB}\n"
	 "limits.body: 2MiB\n"
	 "listen: [{address: \"127.0.0.1:1\", tls.certificate: c, tls.key: k}]\n"
	 "providers: {p: {base_url: \"http://h\", timeouts.connect: 5s}}\n",
	 "aigw.yaml:2:1: unknown key `limits.body`: write `limits: {body: …}`\n"
	 "aigw.yaml:3:35: unknown key `listen.tls.certificate`: write `tls: {certificate: …}`\n"
	 "aigw.yaml:3:55: unknown key `listen.tls.key`: write `tls: {key: …}`\n"
	 "aigw.yaml:4:39: unknown key `providers.p.timeouts.connect`: write `timeouts: {connect: "
	 "…}`\n"},
	{"duplicate key",
	 "region: a\n"
	 "workers: 2\n"
	 "region: b\n",
	 "aigw.yaml:3:1: `region` is given twice, first in line 1\n"},
	{"broken flow mapping",
	 "log: {to: stderr\n"
	 "region: a\n",
	 "aigw.yaml:2:7: not valid YAML: did not find expected ',' or '}' (while parsing a flow "
	 "mapping that begins in line 1)\n"},
	{"tab for indentation",
	 "log:\n"
	 "\tto: stderr\n",
	 "aigw.yaml:2:1: not valid YAML: found character that cannot start any token\n"},
	{"alias",
	 "region: &a x\n"
	 "user: *a\n",
	 "aigw.yaml:1:9: anchors, aliases and tags are not supported; a text that begins with &, * "
	 "or ! needs quotes\n"},
	{"tag that wanted quotes",
	 "providers: {openai: {catalog: openai, keys: [], models: [!foo]}}\n",
	 "aigw.yaml:1:62: not valid YAML: did not find expected whitespace or line break\n"},
	{"two documents",
	 "region: a\n"
	 "---\n"
	 "region: b\n",
	 "aigw.yaml:2:1: a second document in one file\n"},
	{"a list at the top", "- a\n",
	 "aigw.yaml:1:1: a configuration must be a mapping of settings\n"},
	{"a key that is a mapping", "{a: b}: c\n", "aigw.yaml:1:1: a key must be a text\n"},
	{"address with a name", "listen: [{address: \"example.com:8080\"}]\n",
	 "aigw.yaml:1:20: `listen.address` must be a literal address and a port, such as "
	 "127.0.0.1:8080 or \"[::]:8080\", not `example.com:8080`\n"},
	{"address without a port", "listen: [\"127.0.0.1\"]\n",
	 "aigw.yaml:1:10: `listen.address` must be a literal address and a port, such as "
	 "127.0.0.1:8080 or \"[::]:8080\", not `127.0.0.1`\n"},
	{"address twice", "listen: [\"127.0.0.1:8080\", {address: \"127.0.0.1:8080\"}]\n",
	 "aigw.yaml:1:38: `listen` has the address 127.0.0.1:8080 twice\n"},
	{"listen empty", "listen: []\n",
	 "aigw.yaml:1:9: `listen` must be a list of 1 to 64 items such as {address: "
	 "\"127.0.0.1:8080\"}\n"},
	{"listen unknown key", "listen: [{address: \"127.0.0.1:8080\", tsl: {}}]\n",
	 "aigw.yaml:1:38: unknown key `listen.tsl` (did you mean `tls`?)\n"},
	{"tls without a key",
	 "listen: [{address: \"127.0.0.1:8080\", tls: {certificate: /nonexistent/a.pem}}]\n",
	 "aigw.yaml:1:43: `listen.tls` needs `certificate` and `key`\n"
	 "aigw.yaml:1:57: `listen.tls.certificate`: cannot read /nonexistent/a.pem: No such file "
	 "or directory\n"},
	{"proxies", "listen: [{address: \"127.0.0.1:8080\", trusted_proxies: [10.0.0.1/8]}]\n",
	 "aigw.yaml:1:55: `trusted_proxies` must be a list of address ranges such as 10.0.0.0/8, "
	 "not `10.0.0.1/8`\n"},
	{"request line above head", "limits: {request_line: 64KiB, head: 8KiB}\n",
	 "aigw.yaml:1:24: `limits.request_line` is above `limits.head`, which holds it\n"},
	{"body above its memory", "limits: {body: 1GiB, body_memory: 1MiB}\n",
	 "aigw.yaml:1:16: `limits.body` is above `limits.body_memory`, which holds it\n"},
	{"a breaker that cannot open", "breaker: {failures: 20, requests: 10}\n",
	 "aigw.yaml:1:21: `breaker.failures` is above `breaker.requests`, so that it could never "
	 "open\n"},
	{"cool-down", "breaker: {cool_down: 10m, cool_down_max: 1m}\n",
	 "aigw.yaml:1:22: `breaker.cool_down` is above `breaker.cool_down_max`\n"},
	{"admin address", "admin: {http: \"everywhere:1\"}\n",
	 "aigw.yaml:1:15: `admin.http` must be a literal address and a port, such as "
	 "127.0.0.1:9464, or off, not `everywhere:1`\n"},
	{"admin port of Prometheus", "admin: {http: \"127.0.0.1:9090\"}\n",
	 "aigw.yaml:1:15: `admin.http` has the port of Prometheus itself, 9090: choose another, "
	 "such "
	 "as 9464\n"},
	{"admin address of a listener",
	 "listen: [\"127.0.0.1:8081\"]\nadmin: {http: \"127.0.0.1:8081\"}\n",
	 "aigw.yaml:2:15: `admin.http` has the address of a listener of `listen`\n"},
	{"admin address of a listener by default", "listen: [\"127.0.0.1:9464\"]\n",
	 "aigw.yaml:1:1: `admin.http` has the address of a listener of `listen`\n"},
	{"origins", "cors: {origins: [\"*\", \"https://a.example\"]}\n",
	 "aigw.yaml:1:17: `cors.origins` must be `*` alone or origins such as "
	 "https://app.example.com, not `*`\n"},
	{"origin with a path", "cors: {origins: [https://a.example/x]}\n",
	 "aigw.yaml:1:17: `cors.origins` must be `*` alone or origins such as "
	 "https://app.example.com, not `https://a.example/x`\n"},
	{"region with a slash", "region: eu/west\n",
	 "aigw.yaml:1:9: `region` must be letters, digits, `-`, `_` and `.`, not `eu/west`\n"},
	{"log target", "log: {to: /var/log/aigw.log}\n",
	 "aigw.yaml:1:11: `log.to` must be stderr, syslog or file:PATH, not `/var/log/aigw.log`\n"},
	{"no such user", "user: no-such-user-here\n",
	 "aigw.yaml:1:7: there is no user `no-such-user-here`\n"},
	{"include in a text", "include: [a.yaml]\n",
	 "aigw.yaml:1:11: other files cannot be named here\n"},
	{"providers is a list", "providers: [openai]\n",
	 "aigw.yaml:1:12: `providers` must be a mapping of names to providers\n"},
	{"provider is a text", "providers: {openai: x}\n",
	 "aigw.yaml:1:21: `providers.openai` must be a mapping, not a text\n"},
	{"base_url missing", "providers: {openai: {dialect: openai}}\n",
	 "aigw.yaml:1:13: `providers.openai.base_url` is missing (or `catalog`, which supplies "
	 "it)\n"},
	{"base_url of another scheme", "providers: {openai: {base_url: \"ftp://a.example\"}}\n",
	 "aigw.yaml:1:32: `providers.openai.base_url` must be like https://api.example.com/v1, "
	 "without user, password and fragment\n"},
	{"base_url with a password",
	 "providers: {openai: {base_url: \"https://u:p@a.example/v1\"}}\n",
	 "aigw.yaml:1:32: `providers.openai.base_url` must be like https://api.example.com/v1, "
	 "without user, password and fragment\n"},
	{"base_url with a credential",
	 "providers: {openai: {base_url: \"https://a.example/v1?api_key=x\"}}\n",
	 "aigw.yaml:1:32: `providers.openai.base_url` holds a credential: give it in `keys` or "
	 "`headers`\n"},
	{"dialect", "providers: {openai: {dialect: openia, base_url: \"https://a.example\"}}\n",
	 "aigw.yaml:1:31: `providers.openai.dialect` must be one of openai, anthropic, not "
	 "`openia`\n"},
	{"a key in the configuration",
	 "providers: {openai: {base_url: \"https://a.example\", keys: [sk-123]}}\n",
	 "aigw.yaml:1:60: `providers.openai.keys` must be env:NAME or file:PATH: a key itself must "
	 "not stand in the configuration\n"},
	{"key without a name",
	 "providers: {openai: {base_url: \"https://a.example\", keys: [\"env:\"]}}\n",
	 "aigw.yaml:1:60: `providers.openai.keys` must be env:NAME or file:PATH\n"},
	{"key file that is not there",
	 "providers: {openai: {base_url: \"https://a.example\", keys: "
	 "[\"file:/nonexistent/key\"]}}\n",
	 "aigw.yaml:1:60: `providers.openai.keys`: cannot read /nonexistent/key: No such file or "
	 "directory\n"},
	{"provider key unknown",
	 "providers: {openai: {base_url: \"https://a.example\", timeout: 3}}\n",
	 "aigw.yaml:1:53: unknown key `providers.openai.timeout` (did you mean `timeouts`?)\n"},
	{"header that is ours",
	 "providers: {openai: {base_url: \"https://a.example\", headers: {Host: x}}}\n",
	 "aigw.yaml:1:63: `providers.openai.headers.Host`: this header is written by the gateway "
	 "itself\n"},
	{"header name",
	 "providers: {openai: {base_url: \"https://a.example\", headers: {\"a b\": x}}}\n",
	 "aigw.yaml:1:63: `providers.openai.headers.a b` is no header name\n"},
	{"header value",
	 "providers: {openai: {base_url: \"https://a.example\", headers: {a: \"x\\ny\"}}}\n",
	 "aigw.yaml:1:66: `providers.openai.headers.a` holds a control or non-ASCII character\n"},
	{"models without catalog",
	 "providers: {openai: {base_url: \"https://a.example\", models: [\"*\"]}}\n",
	 "aigw.yaml:1:53: `providers.openai.models` has no meaning without `catalog`\n"},
	{"unknown catalog", "providers: {openai: {catalog: openia}}\n",
	 "aigw.yaml:1:31: there is no catalog `openia` in {catalog} (did you mean `openai`?)\n"},
	{"markup",
	 "providers: {openai: {catalog: openai, keys: [], models: [\"gpt-4\"], markup: cheap}}\n",
	 "aigw.yaml:1:76: `providers.openai.markup` must be a number above 0 and up to 1000 with "
	 "at most 6 places, such as 1.10\n"},
	{"pattern that matches nothing",
	 "providers: {openai: {catalog: openai, keys: [], models: [\"gpt-5.1-codx\"]}}\n",
	 "aigw.yaml:1:57: `providers.openai.models`: the catalog has no model `gpt-5.1-codx` (did "
	 "you mean `gpt-5.1-codex`?)\n"},
	{"model without price and offer", "models: {a: {context: 1000}}\n",
	 "aigw.yaml:1:10: `models.a` has no price: give `price: {input: …, output: …}` or `price: "
	 "free`\n"
	 "aigw.yaml:1:10: `models.a` has no offer: give `offers: {provider/model: {}}`\n"},
	{"offer of an unknown provider",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: free, offers: {mokc/a: {}}}}\n",
	 "aigw.yaml:2:36: `models.a.offers.mokc/a`: there is no provider `mokc` (did you mean "
	 "`mock`?)\n"},
	{"offer without a slash",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: free, offers: {mock: {}}}}\n",
	 "aigw.yaml:2:36: `models.a.offers.mock` must be named provider/model\n"},
	{"offer of a model with a name that no request can carry",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: free, offers: {mock/" X128 X128 "x: {}}}}\n",
	 "aigw.yaml:2:36: `models.a.offers.mock/" X128 X128
	 "x`: the provider's name of the model must have at most 256 bytes\n"},
	{"offer key unknown",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: free, offers: {mock/a: {wieght: 1}}}}\n",
	 "aigw.yaml:2:45: unknown key `models.a.offers.mock/a.wieght` (did you mean `weight`?)\n"},
	{"price too high",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: {input: 2000000, output: 1}, offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:29: `models.a.price.input` must be dollars per million tokens, 0 or from "
	 "0.001 to 1000000 with at most 6 places (1e-9 to 1 dollar a token)\n"},
	{"price too low",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: {input: 0.000001, output: 1}, offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:29: `models.a.price.input` must be dollars per million tokens, 0 or from "
	 "0.001 to 1000000 with at most 6 places (1e-9 to 1 dollar a token)\n"},
	{"price all zero",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: {input: 0, output: 0}, offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:21: `models.a.price` is 0 throughout: write `price: free` for a model that "
	 "costs nothing\n"},
	{"price incomplete",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: {input: 1}, offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:21: `models.a.price` must give `input` and `output`, or `request`\n"},
	{"price class unknown",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: {input: 1, outptu: 1}, offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:32: unknown price `models.a.price.outptu` (did you mean `output`?)\n"},
	{"price class twice",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: {input: 1, output: 1, cache_write: 1, cache_write_5m: 2}, offers: "
	 "{mock/a: {}}}}\n",
	 "aigw.yaml:2:59: `models.a.price` gives the price of one class twice\n"},
	{"price of a request",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: {request: a lot}, offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:31: `models.a.price.request` must be dollars a request, 0 to 1000 with at "
	 "most 9 places, such as 0.01\n"},
	{"price of an image",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: {input: 1, output: 1, image: 1.1}, offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:50: `models.a.price.image` must be dollars each, 0 to 1 with at most 9 "
	 "places, such as 0.01\n"},
	{"searches in some rows",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: [{when: {hours: \"01:00-02:00\"}, input: 1, output: 1}, {input: 1, "
	 "output: 1, "
	 "web_search: 0.01}], offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:21: `models.a.price` has `web_search` in some of its rows: give it in all or "
	 "none\n"},
	{"an offer that sells no searches",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: {input: 1, output: 1, web_search: 0}, offers: {mock/a: {price: "
	 "free}}}}\n",
	 "aigw.yaml:2:84: `models.a.offers.mock/a.price` has no `web_search`, which the price of "
	 "its model has\n"},
	{"price as a text",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: cheap, offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:21: `models.a.price` must be `free`, a mapping such as {input: 1.75, "
	 "output: 14}, dollars per million tokens, or a list of such mappings\n"},
	{"price of no row",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: [], offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:21: `models.a.price` must have 1 to 32 rows\n"},
	{"price row that is a text",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: [cheap, {input: 1, output: 2}], offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:22: `models.a.price[0]` must be a mapping such as {when: {min_prompt_tokens: "
	 "200000}, input: 6, output: 22.5}\n"},
	{"price without an end",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: [{when: {min_prompt_tokens: 5}, input: 1, output: 2}], offers: "
	 "{mock/a: {}}}}\n",
	 "aigw.yaml:2:22: `models.a.price` needs a last row without `when`: what is paid when no "
	 "other row matches\n"},
	{"price row that never counts",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: [{input: 1, output: 2}, {when: {hours: \"00:00-01:00\"}, input: 3, "
	 "output: 4}, {input: 5, output: 6}], offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:45: `models.a.price[1]` never counts: the rows before it match whatever it "
	 "matches, and the first that matches counts\n"
	 "aigw.yaml:2:98: `models.a.price[2]` never counts: the rows before it match whatever it "
	 "matches, and the first that matches counts\n"},
	{"price conditions",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: [{when: {min_prompt_tokens: 0, hours: [\"16:30\", \"25:00-01:00\", "
	 "\"01:00-01:00\"], from: soon, until: 2026-13-01, hour: 1}, input: 1, output: 2}, {input: "
	 "1, output: 2}], offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:49: `models.a.price[0].when.min_prompt_tokens` must be a whole number of "
	 "tokens from 1 to 1000000000: the row counts for prompts of more than so many\n"
	 "aigw.yaml:2:59: `models.a.price[0].when.hours` must be ranges of the UTC day such as "
	 "\"16:30-00:30\", not `16:30`\n"
	 "aigw.yaml:2:59: `models.a.price[0].when.hours` must be ranges of the UTC day such as "
	 "\"16:30-00:30\", not `25:00-01:00`\n"
	 "aigw.yaml:2:59: `models.a.price[0].when.hours` must be ranges of the UTC day such as "
	 "\"16:30-00:30\", not `01:00-01:00`\n"
	 "aigw.yaml:2:106: `models.a.price[0].when.from` must be a date such as 2026-12-01 or a "
	 "time such as 2026-12-01T08:00:00Z, both UTC\n"
	 "aigw.yaml:2:119: `models.a.price[0].when.until` must be a date such as 2026-12-01 or a "
	 "time such as 2026-12-01T08:00:00Z, both UTC\n"
	 "aigw.yaml:2:131: unknown condition `models.a.price[0].when.hour` (did you mean "
	 "`hours`?)\n"},
	{"price row until before from",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: [{when: {from: 2026-12-02, until: 2026-12-01}, input: 1, output: 2}, "
	 "{input: 1, output: 2}], offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:55: `models.a.price[0].when.until` is not after `from`, so that the row "
	 "never counts\n"},
	{"price row with an empty condition",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: [{when: {}, input: 1, output: 2}, {input: 1, output: 2}], offers: "
	 "{mock/a: {}}}}\n",
	 "aigw.yaml:2:29: `models.a.price[0].when` must be a mapping such as {min_prompt_tokens: "
	 "200000}; leave it out for the row that counts otherwise\n"},
	{"condition outside of a list",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: {when: {min_prompt_tokens: 5}, input: 1, output: 2}, offers: "
	 "{mock/a: {}}}}\n",
	 "aigw.yaml:2:22: unknown price `models.a.price.when`\n"},
	{"price of too many sizes",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: [{when: {min_prompt_tokens: 8}, input: 8, output: 2}, {when: "
	 "{min_prompt_tokens: 7}, input: 7, output: 2}, {when: {min_prompt_tokens: 6}, input: 6, "
	 "output: 2}, {when: {min_prompt_tokens: 5}, input: 5, output: 2}, {when: "
	 "{min_prompt_tokens: 4}, input: 4, output: 2}, {when: {min_prompt_tokens: 3}, input: 3, "
	 "output: 2}, {when: {min_prompt_tokens: 2}, input: 2, output: 2}, {when: "
	 "{min_prompt_tokens: 1}, input: 1, output: 2}, {input: 9, output: 2}], offers: {mock/a: "
	 "{}}}}\n",
	 "aigw.yaml:2:21: `models.a.price` has too many conditions: at most 8 rows that differ in "
	 "`min_prompt_tokens` and `service_tier`, and 64 combinations in all\n"},
	{"a tier that has no price of its own",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: [{when: {service_tier: standard}, input: 1, output: 1}, {input: 2, "
	 "output: 2}], "
	 "offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:44: `models.a.price[0].when.service_tier` must be flex or priority; rows "
	 "without it are "
	 "for the standard one too\n"},
	{"an offer that sells no tier",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {price: [{when: {service_tier: flex}, input: 1, output: 1}, {input: 2, "
	 "output: 2}], "
	 "offers: {mock/a: {price: {input: 3, output: 3}}}}}\n",
	 "aigw.yaml:2:122: `models.a.offers.mock/a.price` has no row for a `service_tier` that the "
	 "price of its "
	 "model has one for\n"},
	{"group of accounts", "groups: {partner: 0, a b: 1, c: 1.0000001}\n",
	 "aigw.yaml:1:19: `groups.partner` must be a number above 0 and up to 1000 with at most 6 "
	 "places, such as 0.9: what its accounts pay of each price\n"
	 "aigw.yaml:1:22: a group's name must be 1 to 64 letters, digits, `-`, `_` and `.`, and "
	 "not none\n"
	 "aigw.yaml:1:33: `groups.c` must be a number above 0 and up to 1000 with at most 6 "
	 "places, such as 0.9: what its accounts pay of each price\n"},
	{"groups that are a list", "groups: [a]\n",
	 "aigw.yaml:1:9: `groups` must be a mapping of at most 64 names to multipliers such as "
	 "{partner: 0.9}\n"},
	{"max_output above context",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {context: 100, max_output: 200, price: free, offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:40: `models.a.max_output` is above `context`, which holds it\n"},
	{"chat without output",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {max_output: 0, capabilities: [chat], price: free, offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:26: `models.a.max_output` is 0: give what it writes at most, or leave "
	 "chat out of `capabilities`\n"},
	{"headers that no worker could write",
	 "providers:\n"
	 "  a: {base_url: \"http://h\", headers: {x: \"Zo\xc3\xab\"}}\n"
	 "  b: {base_url: \"http://h\", headers: {x-a: 1, X-A: 2, User-Agent: x}}\n"
	 "  c: {base_url: \"http://h\", keys: \"env:MOCK_KEY\", headers: {Authorization: x}}\n"
	 "  d: {base_url: \"http://h\", dialect: anthropic, keys: \"env:MOCK_KEY\", headers: "
	 "{authorization: x, x-api-key: y}}\n",
	 "aigw.yaml:2:42: `providers.a.headers.x` holds a control or non-ASCII character\n"
	 "aigw.yaml:3:47: `providers.b.headers.X-A` is given twice (first in aigw.yaml:3:39)\n"
	 "aigw.yaml:3:55: `providers.b.headers.User-Agent`: this header is written by the gateway "
	 "itself\n"
	 "aigw.yaml:4:35: warning: provider `c` is off: env:MOCK_KEY is not set\n"
	 "aigw.yaml:4:61: `providers.c.headers.Authorization`: this header is that of `keys`\n"
	 "aigw.yaml:5:55: warning: provider `d` is off: env:MOCK_KEY is not set\n"
	 "aigw.yaml:5:99: `providers.d.headers.x-api-key`: this header is that of `keys`\n"},
	{"more trusted proxies than a listener keeps",
	 "listen: [{address: \"127.0.0.1:1\", trusted_proxies: [" N16 N16 N16 N16 "10.0.0.1]}]\n",
	 "aigw.yaml:1:52: `trusted_proxies` has 65 ranges, more than 64\n"},
	{"credentials in an address, whatever their case",
	 "providers:\n  a: {base_url: \"http://h/v1?KEY=1\"}\n  b: {base_url: "
	 "\"http://h?subscription-Key=1\"}\n",
	 "aigw.yaml:2:17: `providers.a.base_url` holds a credential: give it in `keys` or "
	 "`headers`\n"
	 "aigw.yaml:3:17: `providers.b.base_url` holds a credential: give it in `keys` or "
	 "`headers`\n"},
	{"capability",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {capabilities: [chat, tolls], price: free, offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:28: `models.a.capabilities` knows no `tolls` (did you mean `tools`?)\n"},
	{"fallback to nowhere",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {abc: {price: free, offers: {mock/a: {}}, fallbacks: [abd]}}\n",
	 "aigw.yaml:2:62: `models.abc.fallbacks`: there is no model `abd` (did you mean `abc`?)\n"},
	{"fallback to itself",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {abc: {price: free, offers: {mock/a: {}}, fallbacks: [abc]}}\n",
	 "aigw.yaml:2:62: `models.abc.fallbacks` names the model itself\n"},
	{"created",
	 "providers: {mock: {base_url: \"http://127.0.0.1:1\"}}\n"
	 "models: {a: {created: yesterday, price: free, offers: {mock/a: {}}}}\n",
	 "aigw.yaml:2:23: `models.a.created` must be a date such as 2025-12-11, not `yesterday`\n"},
	{"all at once",
	 "regon: x\n"
	 "workers: many\n"
	 "log: {format: xml, level: loud}\n"
	 "models: {a: {price: {input: 0, output: 0}}}\n",
	 "aigw.yaml:1:1: unknown key `regon` (did you mean `region`?)\n"
	 "aigw.yaml:2:10: `workers` must be auto or a whole number from 1 to 256, not `many`\n"
	 "aigw.yaml:3:15: `log.format` must be one of text, json, not `xml`\n"
	 "aigw.yaml:3:27: `log.level` must be one of error, warn, info, debug, not `loud`\n"
	 "aigw.yaml:4:10: `models.a` has no offer: give `offers: {provider/model: {}}`\n"
	 "aigw.yaml:4:21: `models.a.price` is 0 throughout: write `price: free` for a model that "
	 "costs nothing\n"},
};

/* The folder of the catalog depends on where the tests run. */
static void compare(struct fixture *f, const char *expected)
{
	struct slice rest = slice_str(fixture_messages(f)), folder = slice_str(f->opts.catalog_dir);
	struct buf b;
	ptrdiff_t at;

	buf_init(&b, CONFIG_MESSAGES_MAX);
	while ((at = slice_find(rest, folder)) >= 0) {
		assert_int_equal(buf_adds(&b, slice_sub(rest, 0, (size_t)at)), ERRC_OK);
		assert_int_equal(buf_addz(&b, "{catalog}"), ERRC_OK);
		rest = slice_sub(rest, (size_t)at + folder.n, rest.n);
	}
	assert_int_equal(buf_adds(&b, rest), ERRC_OK);
	assert_string_equal(buf_cstr(&b), expected);
	buf_fini(&b);
}

static void tells_what_is_wrong(void **state)
{
	/* Where an unprivileged user's defaults come from, whoever runs the tests. */
	const char *const env[] = {"HOME=/nowhere", NULL};
	struct fixture f;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		fixture_init(&f, env);
		assert_int_equal(fixture_load(&f, all[i].text), ERRC_INVAL);
		assert_null(f.c);
		compare(&f, all[i].messages);
		fixture_fini(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
