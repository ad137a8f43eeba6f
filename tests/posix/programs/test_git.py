"""git: a bare repository, its clones, and its own checks of all that it has stored."""

import pytest

from harness.programs import environment, need, run

SETTINGS = {
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_AUTHOR_DATE": "1700000000 +0000",
    "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_COMMITTER_DATE": "1700000000 +0000",
}

#: A history of 6 commits with two branches, a merge, a rename of a folder and a symbolic link, pushed to a bare repository.
HISTORY = """
git init -q --bare -b main bare
git clone -q bare work 2> /dev/null
cd work
git checkout -q -b main
for f in $(seq 150); do mkdir -p "d$((f % 9))"; seq "$f" $((f * 7)) > "d$((f % 9))/f$f"; done
printf '#!/bin/sh\\n' > run; chmod 755 run; ln -s d1 link
git add -A; git commit -q -m one
git checkout -q -b side
git mv d3 moved; for f in d4/*; do echo more >> "$f"; done
git commit -q -a -m two
git checkout -q main
git rm -q -r d5; echo x > new; git add new; git commit -q -m three
git merge -q --no-edit side
for n in 1 2 3; do echo "$n" >> d1/f1; git commit -q -a -m "more $n"; done
git tag -a -m t v1
git push -q --all origin; git push -q --tags origin
cd ..
"""

CHECKS = """
git -C bare gc --quiet --aggressive --prune=now
git -C bare fsck --strict --full --no-dangling
git -C work gc --quiet --aggressive --prune=now
git -C work fsck --strict --full --no-dangling
git verify-pack bare/objects/pack/*.idx
"""


@pytest.fixture
def git(fs, local):
    need("git")
    env = environment(local, **SETTINGS)

    def call(script, cwd=fs):
        return run(script, cwd, env=env)

    call(HISTORY)
    return call


@pytest.mark.smoke
def test_round_trip(git, local):
    """What git makes on the mount is bit for bit what it makes on the local disk."""
    git(CHECKS)
    git(HISTORY, local)
    assert git("git -C work rev-parse HEAD 'HEAD^{tree}' v1; git -C work status --porcelain") == git(
        "git -C work rev-parse HEAD 'HEAD^{tree}' v1; git -C work status --porcelain", local
    )
    git(f"git clone -q bare again; git clone -q file://$PWD/bare {local}/other; git clone -q {local}/bare from-disk")
    sums = git(f"for w in work again from-disk {local}/other; do git -C $w archive main | sha256sum; done").splitlines()
    assert len(set(sums)) == 1, sums
    git("diff -r --no-dereference --exclude=.git work again; git -C again fsck --strict --full")


def test_branches_and_worktrees(git):
    git("cd work; git worktree add -q ../tree side; cd ../tree; echo y >> new-here; git add -A; git commit -q -m tree")
    assert git("git -C work log -1 --format=%s side").strip() == "tree"
    git("cd work; git rebase -q side main; echo dirty >> d1/f1; git stash -q; git diff --quiet")
    git("cd work; git stash pop -q; refuses git diff --quiet; git checkout -q -f main")
    git("cd work; git worktree remove ../tree; git worktree prune; git branch -D side; git reflog expire --all --expire=now")
    git("cd work; git repack -q -a -d -f; git prune; git fsck --strict --full; git -C ../bare fsck --strict --full")


def test_what_git_has_seen_is_still_true(git, place):
    """The index holds inode numbers, sizes and times: publishing and a new start of the daemon change none of them."""
    assert git("cd work; git update-index -q --refresh; sleep 8; git diff-files --name-only") == ""
    if place.node is not None:
        place.node.restart()
        assert git("cd work; git diff-files --name-only") == ""
        git(CHECKS)


def test_a_clone_while_others_push(git):
    """Five clones push to one bare repository, each as often as it takes; all their commits arrive."""
    script = """
    for c in 1 2 3 4 5; do git clone -q bare "c$c"; done
    for c in 1 2 3 4 5; do (
        cd "c$c"; echo "$c" > "from-$c"; git add -A; git commit -q -m "from $c"
        until git push -q origin HEAD:main 2> /dev/null; do git pull -q --rebase origin main 2> /dev/null || true; done
    ) & done
    wait
    git -C bare fsck --strict --full
    git -C bare ls-tree --name-only main
    """
    names = git(script).split()
    assert {f"from-{c}" for c in range(1, 6)} <= set(names)
