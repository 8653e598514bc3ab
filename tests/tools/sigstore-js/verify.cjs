#!/usr/bin/env node
// Verify a Sigstore bundle with sigstore-js and print what it signed, as JSON.
//
//   sigstore-js TRUSTED_ROOT BUNDLE --identity NAME --issuer URL
//   sigstore-js TRUSTED_ROOT BUNDLE --key PUBLIC_KEY [--no-log] [--no-time]
//
// --no-log, --no-time: what a bundle made with a key may lack. Exit status 1: refused, with the
// reason; 2: could not be tried.
'use strict';

const { createPublicKey } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { parseArgs } = require('node:util');

const { bundleFromJSON } = require('@sigstore/bundle');
const { TrustedRoot } = require('@sigstore/protobuf-specs');
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify');

function read(path) {
  return JSON.parse(readFileSync(path, 'utf-8'));
}

function main() {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      identity: { type: 'string' },
      issuer: { type: 'string' },
      key: { type: 'string' },
      'no-log': { type: 'boolean', default: false },
      'no-time': { type: 'boolean', default: false },
    },
  });
  const [rootFile, bundleFile] = positionals;
  const byName = values.identity !== undefined && values.issuer !== undefined;
  if (positionals.length !== 2 || byName === (values.key !== undefined)) {
    throw new Error('wanted: TRUSTED_ROOT BUNDLE, and --identity with --issuer or --key');
  }
  const publicKey = values.key && createPublicKey(readFileSync(values.key));
  // The hint that a bundle gives is not looked at: the key is given by who verifies.
  const keys = publicKey ? () => ({ publicKey, validFor: () => true }) : undefined;
  const verifier = new Verifier(toTrustMaterial(TrustedRoot.fromJSON(read(rootFile)), keys), {
    ctlogThreshold: publicKey ? 0 : 1,
    tlogThreshold: values['no-log'] ? 0 : 1,
    timestampThreshold: values['no-time'] ? 0 : 1,
  });
  const policy = byName
    ? { subjectAlternativeName: values.identity, extensions: { issuer: values.issuer } }
    : {};
  const json = read(bundleFile);
  let identity;
  try {
    ({ identity } = verifier.verify(toSignedEntity(bundleFromJSON(json)), policy));
  } catch (error) {
    process.stderr.write(`${error.code}: ${error.message}${error.cause ? `: ${error.cause.message}` : ''}\n`);
    process.exitCode = 1;
    return;
  }
  const statement = JSON.parse(Buffer.from(json.dsseEnvelope.payload, 'base64'));
  process.stdout.write(`${JSON.stringify({ statement, signer: identity?.subjectAlternativeName })}\n`);
}

try {
  main();
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
