/* What the `when` of a price row may say; see provider_tbl.h. The first row of the list whose conditions all hold counts. */
FIELD(NODE, prompt, "min_prompt_tokens", 1, 1000000000, "", "tokens",
      "For prompts of more than so many tokens, caches included, as the provider reports them; it is then the price of the whole request.")
FIELD(NODE, hours, "hours", 0, 16, "", "a range of the UTC day such as 16:30-00:30, or a list of them",
      "For requests admitted from the first minute on and before the second; a range may go over midnight.")
FIELD(NODE, from, "from", 0, 0, "", "a date or time in UTC such as 2026-12-01 or 2026-12-01T08:00:00Z",
      "For requests admitted then or later.")
FIELD(NODE, tier, "service_tier", 0, 0, "", "flex or priority",
      "For requests that the provider says it ran at that tier, or that asked for it and of which it says nothing.")
FIELD(NODE, until, "until", 0, 0, "", "a date or time in UTC", "For requests admitted before.")
