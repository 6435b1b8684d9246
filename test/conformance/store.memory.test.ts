import { MemoryStore } from '../../master/io/stores/memory.ts';
import { storeConformance } from './store.ts';

storeConformance('memory', async () => {
  // What "the same place" is for a store that lives and dies with its process.
  const store = new MemoryStore();
  return { reopen: async () => store, remove: async () => {} };
});
