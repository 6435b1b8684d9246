import assert from 'node:assert/strict';
import test from 'node:test';
import { GimmeError } from '../../../shared/core/errors.ts';
import { FAULT_MESSAGE_CHARS_MAX } from '../../../shared/core/limits.ts';
import { PermanentError, RetryableError, UnknownOutcomeError } from '../../../shared/core/work.ts';
import { isStaleSession, replyClass, sendFault } from '../../../works/newsletter/send.ts';
import { smtpServer } from '../../../works/newsletter/server.ts';

const passage = (handedOver: boolean, begun = false, bodyEnded = false) => ({
  handedOver,
  bodyBegun: () => begun,
  bodyEnded,
});
const BEFORE = passage(true);
const AFTER = passage(true, true, true);
const error = (parts: object) => Object.assign(new Error('lost'), parts);

test('a reply decides whatever else is known', () => {
  for (const at of [BEFORE, AFTER]) {
    const deferred = sendFault(error({ responseCode: 451, response: '451 later' }), at, 'mx:25');
    assert.ok(deferred instanceof RetryableError && deferred.code === 'smtp_deferred');
    assert.equal(deferred.message, 'mx:25 answered 451 later');
    const rejected = sendFault(error({ responseCode: 550, response: '550 no' }), at, 'mx:25');
    assert.ok(rejected instanceof PermanentError && rejected.code === 'smtp_rejected');
  }
});

test('without a reply the final dot decides', () => {
  for (const code of ['ECONNECTION', 'ESOCKET', 'ETIMEDOUT', 'EABORT', 'ESTREAM', undefined]) {
    assert.ok(sendFault(error({ code }), AFTER, 'mx:25') instanceof UnknownOutcomeError);
    assert.ok(sendFault(error({ code }), BEFORE, 'mx:25') instanceof RetryableError);
    assert.ok(sendFault(error({ code }), passage(true, true), 'mx:25') instanceof RetryableError);
  }
  assert.ok(sendFault('not an error', AFTER, 'mx:25') instanceof UnknownOutcomeError);
});

test('what the mailer refuses by itself is permanent', () => {
  const fault = sendFault(error({ code: 'EMESSAGE', command: 'MAIL FROM' }), BEFORE, 'mx:25');
  assert.ok(fault instanceof PermanentError);
});

test('a failed send is counted by the class of its reply', () => {
  const cases: [object, string | undefined][] = [
    [{ responseCode: 250 }, '2xx'],
    [{ responseCode: 354 }, 'none'],
    [{ responseCode: 421, code: 'EABORT' }, '4xx'],
    [{ responseCode: 554 }, '5xx'],
    [{ code: 'ECONNECTION' }, 'none'],
    [{ code: 'EABORT' }, undefined],
    [{ code: 'EMESSAGE', command: 'MAIL FROM' }, undefined],
  ];
  for (const [given, expected] of cases) {
    assert.equal(replyClass(error(given)), expected, JSON.stringify(given));
  }
});

test('only a session that died before DATA was granted is stale', () => {
  assert.equal(isStaleSession(error({ code: 'ECONNECTION' }), BEFORE), true);
  assert.equal(isStaleSession(error({ code: 'ECONNECTION' }), passage(false)), false, 'no session was ready');
  assert.equal(
    isStaleSession(error({ code: 'ECONNECTION' }), passage(true, true)),
    false,
    'the body had begun',
  );
  assert.equal(
    isStaleSession(error({ code: 'ECONNECTION', responseCode: 421 }), BEFORE),
    false,
    'it answered',
  );
  assert.equal(isStaleSession(error({ code: 'ETIMEDOUT' }), BEFORE), false, 'it kept silent');
});

test('a server’s reply becomes one short line', () => {
  const response = `550-first\r\n550 ${'x'.repeat(5_000)}`;
  const { message } = sendFault(error({ responseCode: 550, response }), AFTER, 'mx:25');
  assert.match(message, /^mx:25 answered 550-first 550 x+$/);
  assert.ok(message.length <= FAULT_MESSAGE_CHARS_MAX);
});

test('an SMTP URL names a server', () => {
  assert.deepEqual(smtpServer('smtp://mx.example.com'), {
    address: 'mx.example.com:587',
    host: 'mx.example.com',
    port: 587,
    secure: false,
  });
  assert.deepEqual(
    smtpServer('smtps://ann%40example.com:p%3Aw@[::1]:2465/?tls.rejectUnauthorized=false&name=me'),
    {
      address: '[::1]:2465',
      host: '::1',
      port: 2465,
      secure: true,
      auth: { user: 'ann@example.com', pass: 'p:w' },
      tls: { rejectUnauthorized: false },
      name: 'me',
    },
  );
  assert.equal(smtpServer('smtp://mx:25?requireTLS=true').requireTLS, true);
  assert.equal(smtpServer('smtp://mx:25?ignoreTLS=true').ignoreTLS, true);
});

test('a wrong SMTP URL is refused without showing its password', () => {
  const wrong: [string, RegExp][] = [
    ['', /must be smtp:\/\//],
    ['mx.example.com:25', /must be smtp:\/\//],
    ['http://u:s3cret@mx', /must be smtp:\/\//],
    ['smtp://', /must be smtp:\/\//],
    ['smtp://u:s3cret@mx/path', /has a path/],
    ['smtp://u:s3cret%@mx', /not percent-encoded/],
    ['smtp://u:s3cret@mx?pool=true', /option "pool"/],
    ['smtp://u:s3cret@mx?requireTLS=maybe', /true or false for requireTLS/],
  ];
  for (const [url, message] of wrong) {
    assert.throws(
      () => smtpServer(url),
      (thrown) =>
        thrown instanceof GimmeError &&
        thrown.code === 'bad_config' &&
        message.test(thrown.message) &&
        !thrown.message.includes('s3cret'),
      url,
    );
  }
});
