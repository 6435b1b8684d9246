/** The faults of the pattern's first implementation do not come back over WebSocket. */
import { wsLink } from '../cluster/links.ts';
import { faultsConformance } from './faults.ts';

faultsConformance('ws', wsLink);
