/* What a restore leaves in the folder of the ledger that it put there, for the next keeper: it takes over the pepper, begins an
 * epoch that no older life of the ledger can have had, and then removes the mark. All of it comes with the one rename that
 * puts the folder in place. The mark holds three lines: of when the backup is, the unix user who restored it, and when. */
#ifndef AIGW_RESTORED_H
#define AIGW_RESTORED_H

#define RESTORED_MARK   "restored"
#define RESTORED_PEPPER "pepper"

#endif
