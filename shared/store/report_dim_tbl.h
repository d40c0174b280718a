/* What usage can be added up by: constant, name on the command line. */
REPORT_DIM(DAY, day)
REPORT_DIM(MODEL, model)
REPORT_DIM(KEY, key)
REPORT_DIM(ACCOUNT, account)
REPORT_DIM(PROVIDER, provider)
REPORT_DIM(TEAM, team)
REPORT_DIM(TAG, tag)
