/* What an offer's mapping holds; see provider_tbl.h. */
FIELD(INT, weight, "weight", 0, 1000000, "1", "",
      "Share of the requests among offers of one priority; 0 only when no other is left.")
FIELD(INT, priority, "priority", 0, 1000000, "1", "", "Offers with a lower number are used first.")
FIELD(NODE, price, "price", 0, 0, "", "a mapping of prices, a list of such rows, or free",
      "What the client pays here instead of the model's price.")
FIELD(NODE, price, "cost", 0, 0, "", "a mapping of prices, a list of such rows, or free",
      "What it costs you; only for the margin. The price when it is missing.")
FIELD(ENUM, cap_field, "cap_field", 0, 0, "provider", "provider|max_tokens|max_completion_tokens|",
      "As the provider's, for this model.")
