/* What a restore leaves in the folder of the ledger that it put there, for the next keeper: it takes over the pepper, begins an
 * epoch that no older life of the ledger can have had, and then removes the mark. All of it comes with the one rename that
 * puts the folder in place. */
#ifndef AIGW_RESTORED_H
#define AIGW_RESTORED_H

#define RESTORED_MARK   "restored"
#define RESTORED_PEPPER "pepper"

#endif
