/* Time zones for tests, made on the spot in a temporary folder that TZDIR then names. Aborts when it cannot. */
#ifndef AIGW_ZONE_FOLDER_H
#define AIGW_ZONE_FOLDER_H

/* Beside `Area`, a folder for names of two words, it is empty. Its path is valid until zone_folder_remove(). */
const char *zone_folder_make(void);
/* A zone of this rule ("AAA-3": three hours ahead of UTC); what is no rule makes a file that cannot be read. */
void zone_folder_put(const char *name, const char *rule);
/* With all that was put. */
void zone_folder_remove(void);

#endif
