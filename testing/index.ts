/** `gimmework/testing`: try works and gathers within a test, without a server to start. */

export {
  type ClusterAnswer,
  TestCluster,
  type TestClusterOptions,
  type TestWorker,
  testCluster,
} from './cluster.ts';
export { runStep, type StepGiven } from './runStep.ts';
