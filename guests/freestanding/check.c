/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The task that checks every word of every page, while the touching tasks keep away.
 * Mapped for CPL 3, where a missing page holds up nobody else.
 */

#include "pages.h"
#include "user.h"

/*
 * The word that is wrong, or -1.  An owner that was killed amid a page leaves it with
 * an odd version, or did not come to note the new one.
 */
static int64_t wrong_word(struct user *u, uint64_t page, const uint64_t *word)
{
    uint32_t noted = versions[page];
    uint32_t version = word[0];
    bool torn = version & 1;

    if (word[0] != content_head(page, version)) {
        return 0;
    }
    if (version != noted && (version - noted > 2 || !u->owners ||
                             !call(CALL_KILLED, page % u->owners, 0))) {
        return 0;
    }
    if (word[1] != content_fixed(page)) {
        return 1;
    }
    for (uint64_t i = FIRST_WORD; i < PAGE_WORDS; i++) {
        if (word[i] != content(page, torn ? version + 1 : version, i) &&
            !(torn && word[i] == content(page, version - 1, i))) {
            return i;
        }
    }
    return -1;
}

void task_verify(struct user *u)
{
    uint64_t bad, away;
    int64_t word;

    for (;;) {
        call(CALL_VERIFY, 0, 0);
        bad = away = 0;
        for (uint64_t page = 0; page < u->pages; page++) {
            WRITE_ONCE(u->at, REGION_GPA + page * PAGE_SIZE);
            if (!copy_page(u->buffer, (void *)page_words(page))) {
                away++;
                continue;
            }
            word = wrong_word(u, page, u->buffer);
            if (word >= 0) {
                bad++;
                bad_content(page, word);
            }
        }
        call(CALL_VERIFIED, bad, away);
    }
}
