#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Make the fork's source tree: QEMU's, this repository linked in, hooks applied.

  scripts/compose.py BUILD [PRISTINE]

BUILD/fork is the tree. Files that hooks edit are kept unedited in
BUILD/cache/originals, and hooks always start from there. With PRISTINE the tree
is first made equal to that QEMU source. A file that ends up as it was is not
written, so that ninja rebuilds only what changed. Nothing is written if a hook fails.

Hooks lie under hooks/, at the path of the file that they edit, and fixes of upstream bugs,
which the fork itself does not need, under hooks/upstream-fixes/ in the same way:

  FILE.cocci, FILE/NAME.cocci   a semantic patch. A comment `// expect N: TEXT`
      says that it adds TEXT in exactly N lines. It must not change or remove lines.
  FILE.insert                   paragraphs of three lines,
      after: LINE, or after-match: REGEX     the whole line that it follows
      insert: TEXT                           what is added
      count: N                               in how many places, exactly
"""

import difflib
import filecmp
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
HOOKS = REPO / 'hooks'
FIXES = HOOKS / 'upstream-fixes'
LINK = 'pv-ve'


class HookError(Exception):
    def __init__(self, hook, target, what):
        super().__init__(f'{hook.relative_to(REPO)}: {target}: {what}')


def files_below(top):
    """All but what git keeps, and folders that something was built in."""
    for folder, folders, files in os.walk(top):
        files = [f for f in files if f != '.git']
        folders[:] = [d for d in folders if d != '.git' and not
                      os.path.exists(os.path.join(folder, d, 'build.ninja'))]
        links = [d for d in folders if os.path.islink(os.path.join(folder, d))]
        for name in files + links:
            yield os.path.relpath(os.path.join(folder, name), top)


def same(a, b):
    if a.is_symlink() or b.is_symlink():
        return (a.is_symlink() and b.is_symlink()
                and os.readlink(a) == os.readlink(b))
    return (b.is_file() and filecmp.cmp(a, b, shallow=False)
            and os.access(a, os.X_OK) == os.access(b, os.X_OK))


def copy_changed(source, target):
    """Not the time of the source: an older file would not be rebuilt."""
    if same(source, target):
        return
    if target.is_symlink() or target.exists():
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target, follow_symlinks=False)


def mirror(pristine, fork, originals):
    wanted = set(files_below(pristine))
    for name in sorted(wanted):
        kept = originals / name
        copy_changed(pristine / name, kept if kept.exists() else fork / name)
    for name in set(files_below(fork)) - wanted - {LINK}:
        (fork / name).unlink()
        (originals / name).unlink(missing_ok=True)


def find_hooks(fork):
    """Upstream file -> its hooks, in order of their names."""
    hooks = {}
    for hook in sorted(HOOKS.rglob('*')):
        if hook.suffix not in ('.cocci', '.insert'):
            if hook.is_file():
                raise HookError(hook, hook.name, 'neither .cocci nor .insert')
            continue
        top = FIXES if FIXES in hook.parents else HOOKS
        target = hook.relative_to(top).with_suffix('')
        if (fork / target.parent).is_file():
            target = target.parent
        if not (fork / target).is_file():
            raise HookError(hook, target, 'no such file in QEMU')
        hooks.setdefault(str(target), []).append(hook)
    return hooks


def insert(hook, target, text):
    lines = text.splitlines(keepends=True)
    paragraphs = re.split(r'\n\s*\n', re.sub(r'(?m)^#.*\n', '', hook.read_text()))
    for paragraph in filter(None, (p.strip('\n') for p in paragraphs)):
        fields = dict(line.split(': ', 1) for line in paragraph.splitlines())
        if 'after' in fields:
            pattern = re.compile(r'\s*' + re.escape(fields['after']) + r'\s*')
        else:
            pattern = re.compile(fields['after-match'] + r'\s*')
        found = [n for n, line in enumerate(lines) if pattern.fullmatch(line)]
        if len(found) != int(fields['count']):
            raise HookError(hook, target, 'expected %s places for "%s", found %d'
                            % (fields['count'], fields['insert'], len(found)))
        for n in reversed(found):
            lines.insert(n + 1, fields['insert'] + '\n')
    return ''.join(lines)


def patch(hook, target, text, fork):
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, Path(target).name)
        source.write_text(text)
        result = Path(folder, 'result.c')
        run = subprocess.run(
            ['spatch', '--very-quiet', '--no-show-diff', '--macro-file',
             fork / 'scripts/cocci-macro-file.h', '--sp-file', hook, source, '-o', result],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if run.returncode:
            raise HookError(hook, target, 'spatch failed\n' + run.stdout)
        new = result.read_text() if result.exists() else text

    expected = re.findall(r'(?m)^// expect (\d+): (.*\S)', hook.read_text())
    if not expected:
        raise HookError(hook, target, 'does not say what to expect')
    changes = [line for line in difflib.ndiff(text.splitlines(), new.splitlines())
               if line[0] in '+-']
    for line in changes:
        if line[0] == '-':
            raise HookError(hook, target, f'changes a line of QEMU: {line[2:]}')
    for count, what in expected:
        found = sum(what in line for line in changes)
        if found != int(count):
            raise HookError(hook, target, f'expected "{what}" {count} times, '
                            f'matched {found} times\n{run.stdout}'.rstrip())
    return new


def edited(hooks, fork, originals):
    """What every hooked file is to contain."""
    result = {}
    for target, own in hooks.items():
        kept = originals / target
        text = (kept if kept.exists() else fork / target).read_text()
        for hook in own:
            if hook.suffix == '.insert':
                text = insert(hook, target, text)
            else:
                text = patch(hook, target, text, fork)
        result[target] = text
    return result


def apply_hooks(fork, originals):
    texts = edited(find_hooks(fork), fork, originals)
    for name in list(files_below(originals)):
        if name not in texts:
            copy_changed(originals / name, fork / name)
            (originals / name).unlink()
    for name, text in texts.items():
        if not (originals / name).exists():
            (originals / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(fork / name, originals / name)
        if (fork / name).read_text() != text:
            (fork / name).write_text(text)


def link(fork):
    link = fork / LINK
    if not link.is_symlink() or os.readlink(link) != str(REPO):
        link.unlink(missing_ok=True)
        link.symlink_to(REPO)


def main():
    build = Path(sys.argv[1]).resolve()
    fork = build / 'fork'
    originals = build / 'cache/originals'
    originals.mkdir(parents=True, exist_ok=True)
    if len(sys.argv) > 2:
        mirror(Path(sys.argv[2]), fork, originals)
    link(fork)
    try:
        apply_hooks(fork, originals)
    except HookError as error:
        sys.exit(f'Hook does not fit this QEMU: {error}')


if __name__ == '__main__':
    main()
