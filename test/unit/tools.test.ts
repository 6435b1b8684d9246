/** Where the tests' programs come from: the mirror that the machine's own apt sources name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDebian, mirrorIn } from '../tools/debian.ts';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

test('the mirror is read from both formats of apt sources', () => {
  const deb822 = [
    'Types: deb\nURIs: http://other.test/apt\nSuites: stable\nSigned-By: /other.gpg\n',
    'Types: deb\nURIs: http://off.test/debian\nEnabled: no\n',
    '# first\nTypes: deb-src\nURIs: http://src.test/debian\n\nTypes: deb deb-src\n# a comment\n' +
      'URIs: http://a.test/debian/\nSuites: x\nSigned-By: /a.gpg\n',
  ];
  assert.deepEqual(mirrorIn(deb822, []), { uri: 'http://a.test/debian/', signedBy: '/a.gpg' });
  const classic = [
    '# deb http://no.test/debian x main\ndeb-src http://src.test/debian x main\n' +
      'deb http://b.test/debian-security x main\ndeb http://b.test/debian x main\n',
    'deb [arch=amd64 signed-by=/c.gpg] http://c.test/debian x main',
  ];
  assert.deepEqual(mirrorIn([], classic), { uri: 'http://b.test/debian', signedBy: KEYRING });
  assert.deepEqual(mirrorIn([], classic.slice(1)), { uri: 'http://c.test/debian', signedBy: '/c.gpg' });
  assert.deepEqual(mirrorIn(deb822, classic)?.uri, 'http://a.test/debian/');
  assert.equal(mirrorIn(['Types: deb\nURIs: http://b.test/debian-security\n'], ['\n']), undefined);
});

test('only Debian itself is taken for Debian', () => {
  assert.equal(isDebian('NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n'), false);
  assert.equal(isDebian(''), false);
});
