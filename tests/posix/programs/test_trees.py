"""A tree of 20,000 files: find, du, ls -lR, grep and rm -r see each of them once."""

import os
import subprocess

from harness.programs import environment, finish, many, run

FOLDERS, FILES = 100, 200


def test_twenty_thousand_files(fs, local):
    want = set()
    for folder in range(FOLDERS):
        os.makedirs(fs / f"tree/{folder % 10}/{folder}")
        for number in range(FILES):
            path = f"tree/{folder % 10}/{folder}/{number}"
            with open(fs / path, "wb") as file:
                file.write(b"%d\n" % (folder * FILES + number))
            want.add(path)
    env = environment(local)
    found = run("find tree -type f", fs, env=env).split()
    assert len(found) == len(want) and set(found) == want
    assert run("find tree -type d | wc -l", fs, env=env) == f"{FOLDERS + 11}\n"
    # Every file has its few bytes: what du adds up is what was written, beside the directories.
    sizes = run("find tree -type f -printf '%s\\n' | awk '{ n += $1 } END { print n }'", fs, env=env)
    assert int(sizes) == sum(len(f"{n}\n") for n in range(FOLDERS * FILES))
    assert run("du -a tree | wc -l", fs, env=env) == f"{FOLDERS * FILES + FOLDERS + 11}\n"
    listed = run("ls -lR tree | grep -c '^-'", fs, env=env)
    assert int(listed) == FOLDERS * FILES
    assert run("grep -rlx 12345 tree", fs, env=env) == f"tree/{61 % 10}/61/145\n"
    # Four walks while half of it goes away: what stays is found by each.
    walk = "{ find tree -path 'tree/[5-9]/*' -type f 2> /dev/null || true; } | wc -l"
    with many([walk] * 3 + ["rm -r tree/[0-4]"], fs, env=env) as running:
        said = finish(running)
    assert [line.strip() for line in said[:3]] == [str(FOLDERS * FILES // 2)] * 3
    run("rm -r tree", fs, env=env)
    assert os.listdir(fs) == []


def test_one_folder_is_emptied_while_it_is_read(fs, local):
    """5,000 names in one folder, removed as they are listed (`rm -r`, `find -delete`): none is left over."""
    for how in ("rm -r wide", "find wide -delete", "find wide -type f -print0 | xargs -0 -P 4 -n 100 rm; rmdir wide"):
        run("mkdir wide; cd wide; seq -f 'name-%.0f' 5000 | xargs touch; [ $(ls | wc -l) = 5000 ]", fs, env=environment(local))
        run(how, fs, env=environment(local))
        assert not (fs / "wide").exists()


def test_deep(fs, local):
    """Far below what one path can say: made, walked and removed step by step."""
    depth = 300
    script = f"for n in $(seq {depth}); do mkdir a-longer-name-$n; cd a-longer-name-$n; done; echo bottom > file"
    run(script, fs, env=environment(local))
    assert run("find . -type d | wc -l", fs, env=environment(local)) == f"{depth + 1}\n"
    assert run("find . -name file -execdir cat {} +", fs, env=environment(local)) == "bottom\n"
    run("rm -r a-longer-name-1", fs, env=environment(local))
    assert subprocess.run(["ls", "-A", fs], capture_output=True, check=True).stdout == b""
