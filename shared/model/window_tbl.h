/* The lengths of budget windows: name, length in seconds when rolling. Aligned ones follow the calendar of their time
 * zone; weeks begin on Monday. */
WINDOW(MINUTE, minute, 60)
WINDOW(HOUR, hour, 3600)
WINDOW(DAY, day, 86400)
WINDOW(WEEK, week, 7 * 86400)
WINDOW(MONTH, month, 30 * 86400)
WINDOW(QUARTER, quarter, 91 * 86400)
WINDOW(YEAR, year, 365 * 86400)
WINDOW(TOTAL, total, 0) /* the life of its owner: one window that never ends */
