#!/usr/bin/env python3
# The program of the krew archive, under two names: kubectl-rackplane, and kubectl_complete-rackplane, which kubectl
# asks for completions. The libraries are beside it: lib/any for every Python, lib/cp311 and so on for one of them.
# Written so that an old python3 can read it and say what is missing.
import os
import shutil
import sys

HERE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib")
BUILT = sorted(name for name in os.listdir(HERE) if name.startswith("cp3"))


def main():
    own = os.path.join(HERE, "cp{}{}".format(*sys.version_info[:2]))
    if not os.path.isdir(own):
        known = ["python3." + name[3:] for name in BUILT]
        for program in reversed(known):
            found = shutil.which(program)
            if found:
                os.execv(found, [found, os.path.realpath(__file__), *sys.argv[1:]])
        sys.exit(
            "kubectl rackplane: python3 is {}.{}, and this plugin needs one of {} on PATH".format(
                sys.version_info[0], sys.version_info[1], ", ".join(known)
            )
        )
    sys.path[0:1] = [os.path.join(HERE, "any"), own]
    if os.path.basename(__file__).startswith("kubectl_complete"):
        from rackplane.cli.completing import kubectl

        return kubectl()
    from rackplane.cli import main as run

    # Started by another Python, or by a link of another name: it is the plugin all the same.
    sys.argv[0] = os.path.join(os.path.dirname(sys.argv[0]), "kubectl-rackplane")
    return run()


if __name__ == "__main__":
    sys.exit(main())
