/** The faults of the pattern's first implementation do not come back over memory. */
import { memoryLink } from '../cluster/links.ts';
import { faultsConformance } from './faults.ts';

faultsConformance('memory', memoryLink);
