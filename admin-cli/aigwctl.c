/* aigwctl, the operator's tool of aigw. Everything is in ctl.h, where tests reach it. */
#include <unistd.h>

#include "ctl.h"

int main(int argc, char **argv)
{
	return ctl_main(argc, argv, environ, STDOUT_FILENO, STDERR_FILENO, ctl_connect);
}
