// Embeddings by transformers.js from the folder as it stands, against reference.json.
import { readFileSync } from 'node:fs';
import { dirname, basename } from 'node:path';
import { env, pipeline } from '@huggingface/transformers';

const [artifact, reference] = process.argv.slice(2);
const { texts, vectors } = JSON.parse(readFileSync(reference, 'utf8'));
env.allowRemoteModels = false;
env.localModelPath = dirname(artifact);
const extract = await pipeline('feature-extraction', basename(artifact), { subfolder: '', dtype: 'fp32' });
let worst = 1;
for (const [index, text] of texts.entries()) {
  const found = (await extract(text, { pooling: 'mean', normalize: true })).data;
  const expected = vectors[index];
  const norm = (vector) => Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
  const dot = expected.reduce((sum, x, i) => sum + x * found[i], 0);
  const cosine = dot / norm(expected) / norm(Array.from(found));
  console.log(cosine.toFixed(6), text);
  worst = Math.min(worst, cosine);
}
process.exit(worst >= 0.999 ? 0 : 1);
